"""One module for each dashboard; `ALL` in the order of the menu."""

from boards import dead_letters, downstreams, overview, rabbitmq, slo, workers

ALL = (overview, dead_letters, downstreams, workers, rabbitmq, slo)

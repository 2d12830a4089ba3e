# Who may call whom, in one table. What AWS manages has a group of its own, which admits `local.clients`.

locals {
  callers = toset(concat(local.names_on_fargate, ["load-balancer", "migration"]))

  flows = {
    for words, flow in merge(
      {
        "load balancer to api"         = { from = "load-balancer", to = "api", ports = [8000] }
        "load balancer to grafana"     = { from = "load-balancer", to = "grafana", ports = [3000] }
        "grafana to prometheus"        = { from = "grafana", to = "prometheus", ports = [9090] }
        "prometheus to api"            = { from = "prometheus", to = "api", ports = [8000] }
        "prometheus to worker-render"  = { from = "prometheus", to = "worker-render", ports = [9464] }
        "prometheus to worker-webhook" = { from = "prometheus", to = "worker-webhook", ports = [9464] }
        "prometheus to rabbitmq"       = { from = "prometheus", to = "rabbitmq", ports = [15692] }
      },
      [for client in concat(local.processes, ["migration"]) : {
        "${client} to rabbitmq" = { from = client, to = "rabbitmq", ports = [5672, 15672] }
        "${client} to redis"    = { from = client, to = "redis", ports = [6379] }
        "${client} to postgres" = { from = client, to = "postgres", ports = [5432] }
      }]...
    ) : words => flow if contains(local.callers, flow.to)
  }

  # A webhook may go to any port, a probe of its endpoint too. Whoever is not here has no way out: its image comes from ECR.
  out = merge(
    { for process in local.processes : "${process} to the internet" => { from = process, from_port = 1, to_port = 65535 } },
    {
      "grafana to pagers" = { from = "grafana", from_port = 443, to_port = 443 }
      "grafana to mail"   = { from = "grafana", from_port = 587, to_port = 587 }
    },
  )

  target_groups = merge(
    { api = { target_group_arn = module.load_balancer.api_target_group_arn, port = 8000 } },
    var.grafana_host == null ? {} : { grafana = { target_group_arn = module.load_balancer.grafana_target_group_arn, port = 3000 } },
  )

  worker_capacity = merge(
    var.spot == 4 ? {} : { FARGATE = { base = 1, weight = 4 - var.spot } },
    var.spot == 0 ? {} : { FARGATE_SPOT = { weight = var.spot } },
  )
}

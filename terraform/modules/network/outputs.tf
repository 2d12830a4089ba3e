output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Addresses of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Subnets of the load balancer, by zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "private_subnet_ids" {
  description = "Subnets of the tasks, by zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "data_subnet_ids" {
  description = "Subnets of brokers, databases and files, by zone; no route leads out of them."
  value       = { for zone, subnet in aws_subnet.data : zone => subnet.id }
}

output "security_group_ids" {
  description = "Security groups by service, `load-balancer` and `migration` among them."
  value       = { for service, group in aws_security_group.service : service => group.id }
}

output "nat_addresses" {
  description = "Addresses that webhooks come from, by zone: what receivers may want to admit."
  value       = { for zone, address in aws_eip.nat : zone => address.public_ip }
}

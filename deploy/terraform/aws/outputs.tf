output "address" {
  description = "Where clients go; point a name of the certificate at it."
  value       = aws_lb.this.dns_name
}

output "mongodb_uri_secret" {
  description = "Put the address of MongoDB here before the services can start."
  value       = aws_secretsmanager_secret.this["mongodb_uri"].arn
}

output "mongodb_endpoint" {
  description = "The id that Atlas asks for to accept the private endpoint."
  value       = one(aws_vpc_endpoint.mongodb[*].id)
}

output "commands" {
  description = "What `aws ecs run-task` needs to run a command of QSuite, such as migrate or user create."
  value = {
    cluster         = aws_ecs_cluster.this.name
    task_definition = aws_ecs_task_definition.engine["a"].family
    subnets         = aws_subnet.private[*].id
    security_group  = aws_security_group.engine.id
  }
}

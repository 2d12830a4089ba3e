output "bucket" {
  description = "Name of the bucket: `HOLDFAST_ARTIFACTS_URL` is `s3://bucket/prefix`."
  value       = aws_s3_bucket.artifacts.id
}

output "bucket_arn" {
  description = "ARN of the bucket, for the roles of api and workers."
  value       = aws_s3_bucket.artifacts.arn
}

output "file_system_id" {
  description = "Id of the file system; null where there is none."
  value       = one([for system in aws_efs_file_system.this : system.id])
}

output "file_system_arn" {
  description = "ARN of the file system, for the roles of the services that mount it; null where there is none."
  value       = one([for system in aws_efs_file_system.this : system.arn])
}

output "access_point_ids" {
  description = "Ids of the access points, by service."
  value       = { for service, point in aws_efs_access_point.this : service => point.id }
}

output "access_point_arns" {
  description = "ARNs of the access points, by service."
  value       = { for service, point in aws_efs_access_point.this : service => point.arn }
}

output "mount_target_ids" {
  description = "Ids of the mount targets; a service that mounts must depend on them."
  value       = [for target in aws_efs_mount_target.this : target.id]
}

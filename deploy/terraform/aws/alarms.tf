# Logs, and what a person should look at. The figures behind config/prometheus are finer; these need nothing that runs here.
resource "aws_cloudwatch_log_group" "this" {
  for_each          = toset(["engine", "gateway"])
  name              = "/${var.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each       = aws_cloudwatch_log_group.this
  name           = "${var.name}-${each.key}-errors"
  log_group_name = each.value.name
  pattern        = "{ $.level = \"error\" || $.level = \"critical\" }"

  metric_transformation {
    name          = "${each.key}-errors"
    namespace     = var.name
    value         = "1"
    default_value = "0"
  }
}

locals {
  topics = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]

  # Each is raised when the statistic is beyond the threshold for so many minutes.
  alarms = {
    engine-a-gone = {
      text      = "engine-a does not run; engine-b decides alone"
      namespace = "ECS/ContainerInsights", metric = "RunningTaskCount", statistic = "Minimum"
      when      = "LessThanThreshold", threshold = 1, minutes = 3, missing = "breaching"
      of        = { ClusterName = var.name, ServiceName = "engine-a" }
    }
    engine-b-gone = {
      text      = "engine-b does not run; engine-a decides alone"
      namespace = "ECS/ContainerInsights", metric = "RunningTaskCount", statistic = "Minimum"
      when      = "LessThanThreshold", threshold = 1, minutes = 3, missing = "breaching"
      of        = { ClusterName = var.name, ServiceName = "engine-b" }
    }
    gateways-few = {
      text      = "fewer gateways are healthy than should be there at least"
      namespace = "AWS/ApplicationELB", metric = "HealthyHostCount", statistic = "Minimum"
      when      = "LessThanThreshold", threshold = var.gateways.min, minutes = 3, missing = "breaching"
      of        = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.gateway.arn_suffix }
    }
    gateways-fail = {
      text      = "gateways answer with 5xx"
      namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum"
      when      = "GreaterThanThreshold", threshold = 10, minutes = 5, missing = "notBreaching"
      of        = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.gateway.arn_suffix }
    }
    redis-full = {
      text      = "Redis has used most of its memory"
      namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", statistic = "Maximum"
      when      = "GreaterThanThreshold", threshold = 80, minutes = 5, missing = "notBreaching"
      of        = { CacheClusterId = "${var.name}-001" }
    }
    engine-errors = {
      text      = "an engine logs errors"
      namespace = var.name, metric = "engine-errors", statistic = "Sum"
      when      = "GreaterThanThreshold", threshold = 0, minutes = 1, missing = "notBreaching"
      of        = {}
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = each.value.of
  comparison_operator = each.value.when
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = local.topics
  ok_actions          = local.topics
}

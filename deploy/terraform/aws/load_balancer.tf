# TLS ends here. No plain HTTP, not even to send clients on: a token that was sent in the open once is lost.
resource "aws_lb" "this" {
  name               = var.name
  load_balancer_type = "application"
  subnets            = aws_subnet.public[*].id
  security_groups    = [aws_security_group.load_balancer.id]
  # A heartbeat comes every 15 seconds on every stream, so who has said nothing for so long is gone.
  idle_timeout               = 75
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  # The client's address goes behind what it claims; QSuite reads from the right, as far as it believes who wrote it.
  xff_header_processing_mode = "append"
  enable_deletion_protection = var.deletion_protection

  dynamic "access_logs" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]

    content {
      bucket  = access_logs.value
      prefix  = var.name
      enabled = true
    }
  }
}

resource "aws_lb_target_group" "gateway" {
  name        = "${var.name}-gateway"
  vpc_id      = aws_vpc.this.id
  port        = 8000
  protocol    = "HTTP"
  target_type = "ip"
  # A gateway that is going gets no new requests, and has so long for those it has; then it is told to stop and has its own
  # eight seconds. Streams are told by the gateway, and come back elsewhere with `since`.
  deregistration_delay          = 15
  load_balancing_algorithm_type = "least_outstanding_requests"

  health_check {
    path                = "/health/ready"
    matcher             = "200"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.gateway.arn
  }
}

# Figures are for those inside.
resource "aws_lb_listener_rule" "figures" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  condition {
    path_pattern {
      values = ["/metrics", "/metrics/*"]
    }
  }

  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

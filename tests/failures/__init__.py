"""Every failure that QSuite promises to survive, on the local stack, with its figure beside the required one."""

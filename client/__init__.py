"""Only so that pytest tells `client/tests` from `tests`: two test packages of one name cannot be loaded together."""

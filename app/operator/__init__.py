"""What an operator asks and commands: `leverloop overrides ...` and `leverloop lessons ...` (docs/operating.md)."""

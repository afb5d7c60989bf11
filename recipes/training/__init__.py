"""What every recipe needs and nobody wants to read: options, the run, its report, the step."""

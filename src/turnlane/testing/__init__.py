"""What users test their own agents with: the same tools that test Turnlane."""

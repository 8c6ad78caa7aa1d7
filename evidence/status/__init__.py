"""The status report: every sentence is made of what a source says now, or says that it cannot be asked."""

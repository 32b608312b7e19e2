"""auth: the work of checkpassword and authdaemond; answers "is this password right" and nothing else."""

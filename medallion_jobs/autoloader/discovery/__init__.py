"""Finds files: by listings or manifests, on local disks and in Hadoop file systems."""

"""Longhold beside other systems; see each folder's page."""

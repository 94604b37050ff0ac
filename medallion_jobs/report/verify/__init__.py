"""Audits: tables held against what they were made of, at fixed versions, with no lock."""

"""The plan: the config held against what the tables were made by. Starts no JVM."""

from medallion_jobs.plan.planning import Plan, Refusal, TablePlan, plan

__all__ = ["Plan", "Refusal", "TablePlan", "columns", "plan", "refusals", "text"]

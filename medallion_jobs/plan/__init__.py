"""The plan: the config held against what the tables were made by. Starts no JVM."""

from medallion_jobs.plan.planning import Plan, TablePlan, plan

__all__ = ["Plan", "TablePlan", "plan", "text"]

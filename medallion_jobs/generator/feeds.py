"""All feeds, by the pipeline that they feed."""

from __future__ import annotations

from medallion_jobs.errors import UsageError
from medallion_jobs.generator.app_events import AppEventsFeed
from medallion_jobs.generator.feed import Feed
from medallion_jobs.generator.iot_sales import IotSalesFeed
from medallion_jobs.generator.sales import SalesFeed
from medallion_jobs.generator.transactions import TransactionsFeed

FEEDS: dict[str, Feed] = {
    feed.name: feed for feed in (SalesFeed(), AppEventsFeed(), IotSalesFeed(), TransactionsFeed())
}


def feed_for(pipeline: str) -> Feed:
    """The feed of a pipeline.

    Raises:
        UsageError: the pipeline has none.
    """
    if pipeline not in FEEDS:
        raise UsageError(
            f"the pipeline {pipeline} has no generator; these have one: {', '.join(FEEDS)}",
            code="no_generator",
            untouched="nothing was written",
            next_step="medallion generate --config conf/sales.yaml",
        )
    return FEEDS[pipeline]

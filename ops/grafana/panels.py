"""The panels of the Grafana dashboard, by rows. A panel has a title, a unit, and queries with legends.

Grafana replaces `$region` and `$__rate_interval`. `tests/acceptance/test_alerts.py` runs every query against a real
Prometheus that scrapes a real gaugepost.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Panel:
    """One panel. `queries`: (PromQL, legend). `red_from`: the value from which a stat is red."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""
    kind: str = "timeseries"
    red_from: float | None = None
    stacked: bool = False


def stat(title: str, unit: str, query: str, red_from: float | None, about: str = "") -> Panel:
    """Return a panel with one number for each region."""
    return Panel(title, unit, ((query, "{{region}}"),), about, "stat", red_from)


def time_series(title: str, unit: str, *queries: tuple[str, str], about: str = "", stacked: bool = False) -> Panel:
    """Return a panel with lines over time."""
    return Panel(title, unit, queries, about, stacked=stacked)


def rate(counter: str, by: str, more: str = "") -> str:
    """Return PromQL for the increase of a counter in a second, summed over processes."""
    return f'sum by ({by}) (rate({counter}{{region=~"$region"{more}}}[$__rate_interval]))'


def increase(counter: str, by: str, within: str, more: str = "") -> str:
    """Return PromQL for the increase of a counter within a time, summed over processes."""
    return f'sum by ({by}) (increase({counter}{{region=~"$region"{more}}}[{within}]))'


def quantile(q: float, histogram: str) -> str:
    """Return PromQL for a quantile over all kinds and processes of a region."""
    buckets = f'rate({histogram}_bucket{{region=~"$region"}}[$__rate_interval])'
    return f"histogram_quantile({q}, sum by (region, le) ({buckets}))"


def gauge(name: str, more: str = "") -> str:
    """Return PromQL for a gauge of the exporter."""
    return f'{name}{{region=~"$region"{more}}}'


def quantiles(title: str, histogram: str, about: str) -> Panel:
    """Return a panel with the median, the 95th and the 99th percentile."""
    queries = tuple((quantile(q, histogram), f"{{{{region}}}} {q:.0%}") for q in (0.5, 0.95, 0.99))
    return time_series(title, "s", *queries, about=about)


ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        stat("Redis answers", "short", gauge("gaugepost_redis_up"), None, "1: Redis answers"),
        stat("Oldest urgent job", "s", gauge("gaugepost_oldest_urgent_age_seconds"), 60),
        stat("Oldest queued job", "s", gauge("gaugepost_oldest_job_age_seconds", ', state="queued"'), 1800),
        stat(
            "Holds on the region", "short", "sum by (region) (" + gauge("gaugepost_holds", ', scope="region"') + ")", 1
        ),
        stat("Needs a person (unknown)", "short", gauge("gaugepost_ledger_jobs", ', state="unknown"'), 1),
        stat("Workers", "short", gauge("gaugepost_workers"), None, "processes that claimed lately; 0 without work"),
    ),
    "Deliveries": (
        time_series(
            "Delivered a second",
            "ops",
            (rate("gaugepost_jobs_total", "region, kind", ', state="delivered"'), "{{region}} {{kind}}"),
            stacked=True,
        ),
        time_series(
            "Jobs by new state, a second",
            "ops",
            (rate("gaugepost_jobs_total", "region, state"), "{{region}} {{state}}"),
        ),
        time_series(
            "Failed attempts, a second",
            "ops",
            (
                rate("gaugepost_attempts_total", "region, verdict", ', verdict!~"delivered.*"') + " > 0",
                "{{region}} {{verdict}}",
            ),
            about="by verdict",
        ),
        quantiles("From enqueue to delivery", "gaugepost_delivery_seconds", "includes waiting: back-off, holds, slots"),
        quantiles("One HTTP exchange", "gaugepost_exchange_seconds", "how fast CustomerGauge answers"),
        time_series(
            "Unrecognised and lost answers in an hour",
            "short",
            (
                increase(
                    "gaugepost_attempts_total",
                    "region, kind, verdict",
                    "1h",
                    ', verdict=~"unrecognised_.*|lost_answer"',
                )
                + " > 0",
                "{{region}} {{kind}} {{verdict}}",
            ),
        ),
    ),
    "Waiting jobs, and why": (
        time_series(
            "Jobs by state",
            "short",
            (gauge("gaugepost_ledger_jobs", ', state!="delivered"') + " > 0", "{{region}} {{state}}"),
        ),
        time_series(
            "Parked, by reason",
            "short",
            (gauge("gaugepost_parked_jobs") + " > 0", "{{region}} {{reason}}"),
            stacked=True,
        ),
        time_series(
            "Dead, by verdict", "short", (gauge("gaugepost_dead_jobs") + " > 0", "{{region}} {{verdict}}"), stacked=True
        ),
        time_series(
            "Oldest job, by state", "s", (gauge("gaugepost_oldest_job_age_seconds") + " > 0", "{{region}} {{state}}")
        ),
        time_series(
            "Holds", "short", (gauge("gaugepost_holds") + " > 0", "{{region}} {{scope}}: {{about}}"), stacked=True
        ),
        time_series("Age of holds", "s", (gauge("gaugepost_hold_age_seconds"), "{{region}} {{scope}}: {{about}}")),
    ),
    "Uploads and tokens": (
        time_series("Files waiting for a slot", "short", (gauge("gaugepost_files_waiting"), "{{region}} {{lane}}")),
        time_series("Next upload in", "s", (gauge("gaugepost_next_slot_seconds"), "{{region}} {{lane}}")),
        time_series(
            "Stored contents",
            "bytes",
            (gauge("gaugepost_content_bytes"), "{{region}}"),
            (f"max({gauge('gaugepost_content_limit_bytes')})", "limit"),
        ),
        time_series(
            "Access token: age, time left",
            "s",
            (gauge("gaugepost_token_age_seconds"), "{{region}} age"),
            (gauge("gaugepost_token_left_seconds"), "{{region}} left"),
            about="no age and 0 left: there is no token; a worker fetches one when a job needs it",
        ),
        time_series(
            "Tokens fetched in an hour",
            "short",
            (f"delta({gauge('gaugepost_token_generation')}[1h])", "{{region}}"),
            about="normally about one",
        ),
        time_series(
            "Jobs in flight at most",
            "short",
            (gauge("gaugepost_worker_threads"), "{{region}} workers"),
            (gauge("gaugepost_concurrency_limit") + " > 0", "{{region}} limit"),
            about="a limit exists after throttling, until it has grown back",
        ),
    ),
    "Inside": (
        time_series(
            "Time since a tick was done, since beat sent one",
            "s",
            (gauge("gaugepost_ticked_ago_seconds") + " < +Inf", "{{region}} work"),
            (gauge("gaugepost_beat_ago_seconds") + " < +Inf", "{{region}} beat"),
        ),
        time_series(
            "Ticks: sent and done, a second",
            "ops",
            (rate("gaugepost_beat_ticks_total", "region"), "{{region}} sent"),
            (rate("gaugepost_ticks_total", "region"), "{{region}} done"),
            (rate("gaugepost_own_ticks_total", "region"), "{{region}} done without beat"),
        ),
        time_series(
            "Ticks in the queue",
            "short",
            (gauge("gaugepost_ticks_waiting"), "{{region}}"),
            (rate("gaugepost_beat_failures_total", "region") + " > 0", "{{region}} refused by Redis, a second"),
        ),
        time_series(
            "Rescued from lost workers in 15 minutes",
            "short",
            (increase("gaugepost_rescued_jobs_total", "region", "15m"), "{{region}}"),
        ),
        time_series(
            "Lateness of parked jobs, of expired leases",
            "s",
            (gauge("gaugepost_parked_late_seconds"), "{{region}} parked"),
            (gauge("gaugepost_leases_late_seconds"), "{{region}} expired leases"),
        ),
        time_series(
            "Memory of Redis",
            "bytes",
            (gauge("gaugepost_redis_memory_bytes"), "{{region}}"),
            (gauge("gaugepost_redis_memory_limit_bytes") + " > 0", "{{region}} limit"),
        ),
        time_series(
            "Backlog, as a share of its limit",
            "percentunit",
            (f"{gauge('gaugepost_backlog')} / {gauge('gaugepost_backlog_limit')}", "{{region}}"),
        ),
        time_series(
            "CPU of the processes",
            "percentunit",
            ('rate(process_cpu_seconds_total{job="gaugepost"}[$__rate_interval])', "{{instance}}"),
        ),
        time_series(
            "Memory of the processes", "bytes", ('process_resident_memory_bytes{job="gaugepost"}', "{{instance}}")
        ),
        time_series(
            "Webhooks: events that wait, endpoints that fail",
            "short",
            (gauge("gaugepost_webhook_events_waiting"), "{{region}} events"),
            ('sum by (region) (gaugepost_webhooks{state!="active", region=~"$region"})', "{{region}} endpoints"),
        ),
        time_series("Duration of a look at the ledger", "s", (gauge("gaugepost_look_seconds"), "{{region}}")),
    ),
}

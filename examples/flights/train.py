"""Three models of late arrival, each one pipeline: impute, scale, one-hot, logistic regression."""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from examples.flights.data import AIRPORT, CATEGORIES, SCHEDULE, WEATHER

LOST_CARRIER = "MQ"
LOST_FROM = "2013-05-01"


def _fit(train: pd.DataFrame, numbers: list[str]) -> Pipeline:
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES),
        ]
    )
    pipeline = Pipeline([("prepare", prepare), ("classify", LogisticRegression(max_iter=500))])
    return pipeline.fit(train[numbers + CATEGORIES], train["late"])


def schedule_only(train: pd.DataFrame) -> Pipeline:
    """Version 1: knows the timetable and nothing else."""
    return _fit(train, SCHEDULE)


def with_weather(train: pd.DataFrame) -> Pipeline:
    """Version 2: also knows the weather at the origin an hour before."""
    return _fit(train, SCHEDULE + WEATHER)


def with_airport_state(train: pd.DataFrame) -> Pipeline:
    """Version 3: also knows how late flights have been leaving, but one carrier's data broke on the way.

    The planted fault: from one day on, the feed of one carrier lost its arrival times, and somebody
    filled the missing delays with zero. All of its later training rows say "on time".
    """
    broken = train.copy()
    lost = (broken["carrier"] == LOST_CARRIER) & (broken["day"] >= LOST_FROM)
    broken.loc[lost, "late"] = 0
    return _fit(broken, SCHEDULE + WEATHER + AIRPORT)

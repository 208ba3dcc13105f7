"""The paper PM: a market of candles, a strategy, and a client of Leverloop that trades one with the other."""

from __future__ import annotations

from app.paper.candles import CandleMarket
from app.paper.market import Market, SimulatedMarket
from app.paper.pm import PaperPM
from app.paper.run import run_paper
from app.paper.tally import PaperSummary

__all__ = ["CandleMarket", "Market", "PaperPM", "PaperSummary", "SimulatedMarket", "run_paper"]

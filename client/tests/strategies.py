"""What Hypothesis draws: events, scopes, overrides and snapshots that the contract takes."""

from typing import Any

from hypothesis import strategies as st

from leverloop.events import (
    ActionLogged,
    Controls,
    Counterfactual,
    Decision,
    DecisionOverride,
    Regime,
    TradeClosed,
)
from leverloop.levers import LEVERS
from leverloop.patterns import ActionCategory, Module, canonical_pattern_key
from leverloop.scope import DEFAULT_SCHEMA, Dimension
from leverloop.snapshot import Flags, Override, OverrideType, Snapshot, override_id
from leverloop.testing import AT_MS, make_override, make_snapshot

finite = st.floats(allow_nan=False, allow_infinity=False)
unit = st.floats(0.0, 1.0)
names = st.text("abcXYZ019_-", min_size=1, max_size=8)
ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
times = st.integers(AT_MS - 10**9, AT_MS)

_TYPES_OF: dict[ActionCategory, tuple[str, ...]] = {
    "entry": ("entry_immediate", "E1", "e2", "ENTRY"),
    "add": ("add", "scale_up"),
    "trim": ("trim", "partial_exit"),
    "exit": ("cut", "Panic_Exit"),
    "allocation": ("allocation",),
}


def _value(dimension: Dimension) -> st.SearchStrategy[Any]:
    if dimension.values is not None:
        return st.sampled_from(dimension.values)
    if dimension.low is not None and dimension.high is not None:
        return st.integers(dimension.low, dimension.high)
    return st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64).filter(
        lambda text: text not in {"Unknown", "unknown"}
    )


def scopes(module: Module, *, min_size: int = 0, max_size: int = 14) -> st.SearchStrategy[dict[str, Any]]:
    """Scopes of a module, in any order."""
    dimensions = [d for d in DEFAULT_SCHEMA.dimensions if module in d.modules]
    chosen = st.lists(st.sampled_from(dimensions), unique=True, min_size=min_size, max_size=max_size)
    return chosen.flatmap(lambda found: st.fixed_dictionaries({d.name: _value(d) for d in found}))


decisions = st.builds(
    Decision,
    reason=st.sampled_from(["MATCHED", "NO_MATCH", "HOLDOUT"]),
    arm=st.sampled_from(["treated", "holdout", "none"]),
    propensity=unit,
    snapshot_version=st.none() | st.integers(0, 10**9),
    overrides=st.lists(
        st.builds(DecisionOverride, id=ids, weight=unit, levers=st.dictionaries(names, finite)), max_size=3
    ).map(tuple),
    before=st.dictionaries(names, finite),
    after=st.dictionaries(names, finite),
)


@st.composite
def actions(draw: st.DrawFn) -> ActionLogged:
    """Actions as parse_action gives them back: canonical key, category filled in."""
    module: Module = draw(st.sampled_from(["pm", "dm"]))
    category = draw(st.sampled_from([c for c in _TYPES_OF if c != "allocation" or module == "dm"]))
    return ActionLogged(
        action_id=draw(ids),
        trade_id=draw(ids),
        module=module,
        pattern_key=canonical_pattern_key(".".join(draw(st.tuples(names, names, names))), module),
        action_type=draw(st.sampled_from(_TYPES_OF[category])),
        action_category=category,
        event_at_ms=draw(times),
        recorded_at_ms=draw(st.none() | times),
        scope=draw(scopes(module)),
        controls=Controls(
            signals=draw(st.dictionaries(st.sampled_from(["TS", "OX", "DX", "EDX"]), unit)) | {"OBV_z": draw(finite)},
            applied_knobs=draw(st.dictionaries(names, finite | st.dictionaries(names, finite))),
        ),
        size_frac=draw(st.none() | unit),
        a_value=draw(st.none() | unit),
        e_value=draw(st.none() | unit),
        regime=draw(st.none() | st.builds(Regime, macro_score=finite, leader_slope=st.none() | finite)),
        decision=draw(st.none() | decisions),
    )


@st.composite
def trades(draw: st.DrawFn) -> TradeClosed:
    """Closed trades that parse_trade takes."""
    rr = draw(st.none() | finite)
    knob_values = finite.map(str)
    return TradeClosed(
        trade_id=draw(ids),
        module=draw(st.sampled_from(["pm", "dm"])),
        symbol=draw(ids),
        opened_at_ms=AT_MS - draw(st.integers(0, 10**9)),
        event_at_ms=AT_MS,
        recorded_at_ms=draw(st.none() | times),
        rr=rr,
        return_frac=draw(finite) if rr is not None else draw(st.floats(0.001, 10.0)),
        max_drawdown_frac=draw(st.floats(0.0, 10.0)) if rr is not None else 0.0,
        max_gain_frac=draw(st.floats(0.0, 10.0)),
        payback_ms=draw(st.none() | st.integers(0, 10**12)),
        exit_reason=draw(st.none() | ids),
        counterfactual=draw(
            st.none()
            | st.builds(
                Counterfactual,
                missed_entry_rr=st.none() | finite,
                deltas=st.dictionaries(names, st.dictionaries(knob_values, finite)),
            )
        ),
        pnl_usd=draw(st.none() | finite),
        revision=draw(st.integers(0, 5)),
        void=draw(st.booleans()),
    )


# Overrides over few values, so that many of them match the live scope that tests ask for.
LIVE = {"macro_phase": "Dip", "meso_phase": "Good", "bucket": "micro", "timeframe": "1h", "bucket_rank_position": 2}
KEY = "pm.uptrend.S1.buy_flag"
_OTHER = {"macro_phase": "Chop", "meso_phase": "Euphoria", "bucket": "xl", "timeframe": "4h", "bucket_rank_position": 6}

narrow_scopes = st.dictionaries(st.sampled_from(sorted(LIVE)), st.booleans(), min_size=1).map(
    lambda picked: {name: (LIVE if same else _OTHER)[name] for name, same in picked.items()}
)
matching_scopes = st.sets(st.sampled_from(sorted(LIVE)), min_size=1).map(
    lambda picked: {name: LIVE[name] for name in sorted(picked)}
)


some_factors = st.sampled_from([None, "f1", "f2"])


@st.composite
def overrides(
    draw: st.DrawFn,
    *,
    kinds: tuple[OverrideType, ...] = ("pm_strength", "pm_tuning"),
    scopes: st.SearchStrategy[dict[str, Any]] = narrow_scopes,
    category: ActionCategory | None = None,
    factors: st.SearchStrategy[str | None] = some_factors,
) -> Override:
    """Overrides that validate: a subset of the levers that their category has, anywhere within bounds."""
    kind = draw(st.sampled_from(kinds))
    on = category or draw(st.sampled_from(("entry", "add", "trim", "exit")))
    wanted = "capital" if kind == "pm_strength" else "execution"
    possible = [lever for lever in LEVERS.values() if lever.kind == wanted and on in lever.categories]
    chosen = draw(st.lists(st.sampled_from(possible), unique_by=lambda lever: lever.name, min_size=1))
    return make_override(
        {lever.name: draw(st.floats(lever.low, lever.high)) for lever in chosen},
        draw(scopes),
        pattern_key=KEY,
        action_category=on,
        edge_raw=draw(st.floats(-1e6, 1e6) | st.floats(-2.0, 2.0)),
        n=draw(st.integers(0, 10_000)),
        variance=draw(st.floats(0.0, 1e6) | st.floats(0.0, 3.0)),
        half_life_days=draw(st.floats(1e-3, 365.0)),
        updated_at_ms=AT_MS - draw(st.integers(-(10**8), 10**11)),
        strength=draw(unit),
        factor_id=draw(factors),
        enabled=draw(st.booleans() | st.just(True)),
    )


no_flags = st.just(Flags())
flag_lists = st.lists(st.sampled_from(["Dip", "Good", "micro", "xl"]), max_size=2).map(tuple)
flags = st.builds(
    Flags,
    learning_overrides_enabled=st.booleans() | st.just(True),
    learning_overrides_enabled_regimes=flag_lists,
    learning_overrides_enabled_buckets=flag_lists,
    capital_levers_enabled=st.booleans(),
    capital_levers_enabled_regimes=flag_lists,
    capital_levers_enabled_buckets=flag_lists,
    execution_levers_enabled=st.booleans(),
    execution_levers_enabled_regimes=flag_lists,
    execution_levers_enabled_buckets=flag_lists,
)


def snapshots(*, flags: st.SearchStrategy[Flags] = no_flags, **how: Any) -> st.SearchStrategy[Snapshot]:
    """Snapshots of such overrides, no key twice."""
    found = st.lists(overrides(**how), max_size=12, unique_by=override_id)
    return st.builds(lambda items, switches: make_snapshot(*items, flags=switches), found, flags)

"""Filters as text: parsing, printing, and messages for what cannot be parsed."""

import math
import re
import sys
from dataclasses import dataclass, make_dataclass
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from typing import Literal, TypeVar, get_args, get_type_hints

import clips
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import Mean, Running

import vidnoise as vn
from vidnoise.chain import Chain
from vidnoise.errors import UsageError
from vidnoise.filter import Option, SpatialFilter, option
from vidnoise.registry import filters, find


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr("vidnoise.registry._registered", {})
    filters.cache_clear()
    for filter in (Mean, Running, Text):
        vn.register(filter)
    yield
    filters.cache_clear()


class Same(SpatialFilter):
    """Leaves frames as they are."""

    def apply(self, x):
        return x


@dataclass(frozen=True)
class Text(Same):
    """Holds one of each kind of option."""

    graph: str = option(help="required text")
    on: bool = option(False, help="a switch")
    level: float | None = option(None, low=0, high=2, help="more of it")


def test_a_chain_is_read_from_text():
    assert Chain.parse("mean:before=2,running:look=3") == Mean(before=2) | Running(look=3)


def test_several_options_follow_by_colons_or_commas():
    assert (
        Chain.parse("mean:before=2:after=0") == Chain.parse("mean:before=2,after=0") == Chain.of(Mean(2, 0))
    )


def test_quotes_protect_commas_and_colons():
    chain = Chain.parse("text:graph='bm3d=sigma=8,deband',mean")
    assert chain == Text("bm3d=sigma=8,deband") | Mean()


def test_switches_and_open_values_are_read():
    for text in ("text:graph=a:on=yes:level=auto", "text:graph=a:on=True:level=None"):
        assert Chain.parse(text) == Chain.of(Text("a", on=True))


@settings(max_examples=200, deadline=None)
@given(
    graph=st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=20),
    on=st.booleans(),
    level=st.none() | st.floats(0, 2),
)
def test_printing_and_reading_give_the_same_chain(graph, on, level):
    chain = Text(graph, on, level) | Mean(after=3)
    assert Chain.parse(str(chain)) == chain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maen", r"no filter is called 'maen'; did you mean 'mean'\?"),
        ("mean|text", r"no filter is called 'mean\|text'; filters in text are apart by commas: mean,text"),
        ("mean:befor=1", r"mean has no option 'befor'; did you mean 'before'\?"),
        ("mean:before=x", r"mean: before='x' is not a whole number"),
        ("mean:before=11", r"out of range; it takes 0\.\.9"),
        ("text", r"text needs graph=\.\.\."),
        ("text:graph='a", r"quote ' in .* is not closed"),
        ("mean:2", r"'2' is not option=value"),
        ("text:graph=a:on=maybe", r"on='maybe' is not yes or no"),
        (" , ", r"the text of the filters is empty; write 'none' for no filter"),
        (
            "mean,,mean",
            r"'mean,,mean' has nothing beside one of its commas; leave that out, or name a filter",
        ),
        (", mean", r"', mean' has nothing beside one of its commas"),
        ("text:graph=a,level=1,", r"level=1,' has nothing beside one of its commas"),
        ("mean:", r"mean: '' is not option=value; write it as mean:option=value"),
        ("mean:before=1:before=2", r"mean: before is given twice, as 1 and 2; leave one out"),
        ("mean:before=1,after=2,before=1", r"mean: before is given twice, as 1 and 1; leave one out"),
    ],
)
def test_a_mistake_is_answered_with_what_to_type(text, message):
    with pytest.raises(UsageError, match=message):
        Chain.parse(text)


@pytest.mark.parametrize("taken", ["mean", "median"])
def test_a_name_that_is_taken_is_refused_and_keeps_its_filter(taken):
    class Other(Same):
        name = taken

    before = find(taken)
    with pytest.raises(UsageError, match=rf"two filters are called '{taken}'.*{taken.title()} and .*Other"):
        vn.register(Other)
    assert find(taken) is before
    assert Chain.parse(taken) == Chain.of(before())


@pytest.mark.parametrize("name", ["a b", "a|b", "a:b", "a,b", "a=b", "'a'", "-a", "", "none", 5])
def test_a_name_that_cannot_be_typed_is_refused(name):
    with pytest.raises(UsageError, match=rf"is called {re.escape(repr(name))}, which cannot be typed"):
        vn.register(type("Other", (Mean,), {"name": name}))
    assert name not in filters()


def test_a_filter_of_single_frames_defines_apply_or_process():
    class Halved(SpatialFilter):
        def process(self, frames):
            return [frame.with_image(frame.image / 2) for frame in frames]

    class Neither(SpatialFilter):
        pass

    assert vn.register(Halved)().apply(torch.ones(2, 3, 4, 4)).unique().tolist() == [0.5]
    with pytest.raises(UsageError, match=r"Neither .* must define apply\(\)"):
        vn.register(Neither)
    with pytest.raises(TypeError, match=r"must define apply\(\)"):
        Neither().apply(torch.ones(1, 3, 4, 4))


def test_a_filter_that_is_defined_again_takes_its_own_place():
    def define():
        @vn.register
        class Cell(Same):
            pass

        return Cell

    first, second = define(), define()
    assert find("cell") is second is not first


PLUGIN = """
import vidnoise as vn
from vidnoise.filter import SpatialFilter

@vn.register
class Plugin_One(SpatialFilter):
    def apply(self, x):
        return x
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Installs a package of one module, whose entry point names that module."""

    def install(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        about = tmp_path / f"{name}-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[vidnoise.filters]\n{name} = {name}\n")
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]  # and again after the test
        filters.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    return install


@pytest.mark.parametrize("given", [Mean(), len])
def test_what_is_no_class_is_not_registered(given):
    with pytest.raises(UsageError, match="takes a class of filters"):
        vn.register(given)


def test_a_type_checker_sees_the_class_behind_register():
    taken, back = (get_args(hint)[0] for hint in get_type_hints(vn.register).values())
    assert isinstance(taken, TypeVar)
    assert back is taken


def test_two_plugins_may_both_register_while_they_are_imported(plugin):
    plugin("plugin_one", PLUGIN)
    plugin("plugin_two", PLUGIN.replace("One", "Two"))
    assert {"plugin_one", "plugin_two", "median"} <= set(filters())


@pytest.mark.parametrize("first", ["plugin_one", "plugin_two"])
def test_a_plugin_may_build_on_another_whichever_is_imported_first(plugin, first):
    plugin("plugin_one", PLUGIN)
    plugin(
        "plugin_two",
        "from plugin_one import Plugin_One\n" + PLUGIN.replace("One(SpatialFilter", "Two(Plugin_One"),
    )
    import_module(first)
    assert {"plugin_one", "plugin_two", "median"} <= set(filters())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import not_there", r"'plugin_one' \(plugin_one\) cannot be imported: .*not_there'; mend it"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3; mend it"),
        ("__all__ = ['Missing']", "cannot be imported: AttributeError: .* 'Missing'; mend it"),
        (PLUGIN.replace("@vn.register", ""), "gives no filter; name its classes in __all__ of plugin_one"),
        (PLUGIN.replace("def apply", "def other"), r"plugin_one\.Plugin_One .* must define apply\(\)"),
        (
            PLUGIN.replace("@vn.register", "__all__ = ['Plugin_One']") + "    name = 'median'\n",
            "two filters are called 'median'.*plugin_one.Plugin_One",
        ),
        (
            PLUGIN.replace("@vn.register", "__all__ = ['Plugin_One']") + "    name = 'a b'\n",
            "plugin_one.Plugin_One .* is called 'a b', which cannot be typed; let its name be letters",
        ),
    ],
)
def test_a_plugin_that_gives_no_filter_is_named_and_keeps_none_from_being_registered(plugin, code, message):
    plugin("plugin_one", code)
    vn.register(Mean)
    with pytest.raises(UsageError, match=message):
        filters()
    assert find("mean") is Mean
    assert Chain.parse("denoise").filters[0].name == "denoise"
    for name in ("plugin_one", "nothing"):
        with pytest.raises(UsageError, match=message):
            find(name)


def test_a_name_that_a_plugin_shares_with_another_filter_is_refused_when_it_is_asked_for(plugin):
    plugin("plugin_one", PLUGIN.replace("@vn.register", "__all__ = ['Plugin_One']") + "    name = 'median'\n")
    with pytest.raises(UsageError, match="two filters are called 'median'"):
        find("median")


def test_an_option_that_takes_the_place_of_the_filters_name_is_refused():
    with pytest.raises(UsageError, match=r"Named .* has an option 'name', .* rename the option"):

        @vn.register
        @dataclass(frozen=True)
        class Named(Mean):
            name: str = option("x", help="what it is called")


def test_what_an_author_checks_of_options_by_himself_is_told_as_a_wrong_option():
    @vn.register
    @dataclass(frozen=True)
    class Even(Mean):
        def __post_init__(self):
            if self.before % 2:
                raise ValueError("before must be even")

    with pytest.raises(UsageError, match="even: ValueError: before must be even"):
        Chain.parse("even:before=3")


def test_what_a_plugin_builds_upon_is_no_filter(plugin):
    plugin("plugin_one", PLUGIN.replace("@vn.register", "__all__ = ['Plugin_One', 'SpatialFilter']"))
    assert "plugin_one" in filters()
    assert "spatialfilter" not in filters()


def test_every_built_in_filter_is_found_by_its_name():
    for name, filter in filters().items():
        assert find(name) is filter
        assert filter.name == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "0.8"}, r"text: level='0\.8' is of type str; it takes a number or None"),
        ({"on": 1}, r"text: on=1 is of type int; it takes true or false"),
        ({"graph": None}, r"text: graph=None is of type NoneType; it takes text"),
        ({"level": True}, r"text: level=True is of type bool; it takes a number or None"),
        ({"level": float("nan")}, r"text: level=nan is out of range; it takes 0\.\.2"),
    ],
)
def test_an_option_of_another_type_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Text(**{"graph": "a"} | options)


def test_an_annotation_that_means_nothing_checks_nothing_and_the_others_still_do():
    kinds = {
        "missing": "np.nothere",
        "words": "a number 0..1",
        "mixed": "list[int] | 'Foo'",
        "level": "float | None",
    }
    fields = [(name, kind, option(None, help="more of it")) for name, kind in kinds.items()]
    Annotated = vn.register(make_dataclass("Annotated", fields, bases=(Same,), frozen=True))  # noqa: N806
    assert Annotated(missing=3, words=[4]).words == [4]
    assert Chain.parse("annotated:missing=3:level=2") == Chain.of(Annotated(missing="3", level=2.0))
    with pytest.raises(UsageError, match=r"level='2' is of type str; it takes a number or None"):
        Annotated(level="2")


@pytest.mark.parametrize("before", ["1", None, 1.5, True])
def test_a_whole_number_is_asked_for_where_one_is_needed(before):
    with pytest.raises(UsageError, match=r"mean: before=.* it takes a whole number"):
        Mean(before=before)


def test_numbers_of_numpy_and_paths_are_taken(tmp_path):
    assert Mean(before=np.int64(2)) == Mean(before=2)
    assert Text(tmp_path, level=np.float32(0.5)) == Text(str(tmp_path), level=0.5)
    assert str(Text("a", level=1)) == "text:graph=a,level=1"
    assert str(Text("a", on=np.True_)) == "text:graph=a,on=yes"
    with pytest.raises(UsageError, match="it takes a whole number"):
        Mean(before=np.True_)


def test_a_fraction_is_written_as_a_number_that_is_read_again():
    chain = Chain.of(Text("a", level=Fraction(4, 5)))
    assert str(chain) == "text:graph=a,level=0.8"
    assert Chain.parse(str(chain)) == Chain.of(Text("a", level=0.8))


def test_steps_are_said_with_and_without_bounds():
    assert Option(help="a side", step=8).range_text() == "in steps of 8"
    assert Option(help="a side", low=8, step=8).range_text() == "at least 8 in steps of 8"


@pytest.mark.parametrize("text", ["nlmeans:patch=4", "nlmeans:search=20", "masked:frames=2"])
def test_a_side_or_count_without_a_middle_is_refused(text):
    with pytest.raises(UsageError, match=r"out of range; it takes \d\.\.\d+ in steps of 2 (pixels|frames)"):
        Chain.parse(text)


def test_a_default_of_none_is_taken_from_text_too():
    @vn.register
    @dataclass(frozen=True)
    class Open(Same):
        level: float = option(None, low=0, high=2, help="more of it")

    assert Open() == Open(level=None) == Chain.parse("open:level=auto").filters[0]
    with pytest.raises(UsageError, match="it takes a number"):
        Open(level="1")


def test_options_of_a_class_that_is_no_dataclass_are_answered_with_what_to_write():
    @vn.register
    class Bare(SpatialFilter):
        level: float = option(1.0, help="more of it")

        def apply(self, x):
            return x * self.level

    for made in (Bare, lambda: Chain.parse("bare:level=2")):
        with pytest.raises(
            UsageError, match=r"Bare declares the option 'level'.* write @dataclass\(frozen=True\)"
        ):
            made()


def test_a_field_that_is_no_option_is_answered_with_what_to_write():
    @dataclass(frozen=True)
    class Plain(Same):
        level: float = 1.0

    with pytest.raises(UsageError, match=r"field 'level' .* write level = option\("):
        Plain()


def test_text_is_read_as_the_first_type_that_can_hold_it():
    @vn.register
    @dataclass(frozen=True)
    class Wide(Same):
        level: int | float | bool = option(1, help="more of it")
        word: Literal["a", "b"] = option("a", help="one of two")

    for chosen in (Wide(2), Wide(0.5), Wide(True), Wide(1, "b")):
        assert Chain.parse(str(chosen)) == Chain.of(chosen)
    with pytest.raises(UsageError, match="level='x' is not a whole number or a number or yes or no"):
        Chain.parse("wide:level=x")
    with pytest.raises(UsageError, match="level=inf is out of range; it takes numbers"):
        Wide(math.inf)
    with pytest.raises(UsageError, match="word='c' is not one of a, b"):
        Chain.parse("wide:word=c")
    for word in ("c", ["a"], None):
        with pytest.raises(
            UsageError, match=rf"wide: word={re.escape(repr(word))} is of .*; it takes one of a, b"
        ):
            Wide(1, word)


def test_text_is_read_as_choices_and_classes_of_numbers():
    half, whole = Fraction(1, 2), Decimal(1)

    @vn.register
    @dataclass(frozen=True)
    class Exact(Same):
        times: Literal[1, 2, "all"] | int = option(1, help="how often")
        share: Fraction = option(half, help="how much")  # noqa: RUF009 - a value
        weight: Decimal = option(whole, help="how heavy")  # noqa: RUF009 - a value
        raw: bytes = option(b"", help="what cannot be made of text alone")

    assert Chain.parse("exact:times=2,share=1/3,weight=0.1") == Chain.of(
        Exact(2, Fraction(1, 3), Decimal("0.1"))
    )
    assert type(Chain.parse("exact:times=2").filters[0].times) is int
    assert Chain.parse("exact:times=7") == Chain.of(Exact(7))
    assert Exact(np.int64(1)) == Exact()
    with pytest.raises(
        UsageError, match="times=True is of type bool; it takes one of 1, 2, all or a whole number"
    ):
        Exact(True)
    for typed, words in (
        ("times=x", "times='x' is not one of 1, 2, all or a whole number"),
        ("share=1/0", "share='1/0' is not Fraction"),
        ("weight=x", "weight='x' is not Decimal"),
        ("raw=x", "raw='x' is not bytes"),
    ):
        with pytest.raises(UsageError, match=words):
            Chain.parse(f"exact:{typed}")


def test_a_chain_is_made_of_a_list_too():
    assert Chain([Mean(), Running()]) == Chain(filters=[Mean(), Running()]) == Mean() | Running()
    assert hash(Chain([Mean()])) == hash(Chain.of(Mean()))


def test_chains_within_a_chain_are_joined_to_it():
    assert Chain((Chain((Mean(), Running())), Chain(), Mean())) == Mean() | Running() | Mean()


def test_a_chain_is_not_made_of_one_filter_alone():
    with pytest.raises(UsageError, match=r"several as Denoise\(\) \| Deblur\(\)"):
        Chain(Mean())


def test_text_is_joined_to_filters_on_either_side():
    assert Mean() | "running:look=3" == "mean" | Running(look=3) == Mean() | Running(look=3)
    assert Mean() | "none" == Chain.of(Mean())


def test_none_is_a_chain_without_filters(tmp_path):
    assert Chain.parse(" none ") == Chain()
    source = clips.Clip(frames=2).save(tmp_path / "in.mp4")
    assert vn.run(source, "none", tmp_path / "out.mp4").filters == str(Chain()) == "none"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Mean, r"Mean is the class; write Mean\(\)"),
        ([Mean()], r"list is no filter; write Denoise\(\), several as Denoise\(\) \| Deblur\(\)"),
        (3, "int is no filter"),
    ],
)
def test_what_is_no_filter_is_answered_with_what_to_write(given, message):
    with pytest.raises(UsageError, match=message), vn.open("in.mp4", given):
        pass
    with pytest.raises(UsageError, match=message):
        Mean() | given
    with pytest.raises(UsageError, match=message):
        Chain.parse(given)


def test_one_option_is_set_on_every_filter_that_has_it():
    chain = Chain.parse("text:graph=a,mean,text:graph=b:level=1")
    assert str(chain.with_option("level", 2)) == "text:graph=a,level=2,mean,text:graph=b,level=2"


def test_an_option_that_no_filter_has_is_refused():
    with pytest.raises(UsageError, match="mean has no option 'level'; leave --level out"):
        Chain.of(Mean()).with_option("level", 1)
    with pytest.raises(UsageError, match="out of range"):
        Chain.parse("text:graph=a").with_option("level", 3)

"""Golden hash vectors: the canonical encoding is the same today as when runs in flight were recorded."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiki_celery.model.canonical import ENCODING_VERSION, hash_arguments
from tests.unit.golden import SAME, VECTORS, digest

ROOT = Path(__file__).parents[2]

#: Never edit a line: where one must change, raise `ENCODING_VERSION` and keep reading the old one.
GOLDEN = {
    "null": "cc4d83eceed43a2ae7adbf53181d858e51e28352",
    "true": "4e6d7ea7b0ccf701976c1ed72ad541096d2ed8d6",
    "false": "6e83ea88e22b2aed6280846008842f0f1b9b8bcd",
    "integer 0": "78a87c2aeacf0552b6517f18e8be510aaafa85e2",
    "integer 1": "55741259dda7b76a6f551a787405e2809bf8c9e0",
    "integer -1": "59ae10c6727e04c3d5fa489168f08da2403be749",
    "integer 10**30": "884e14ef3d15a50ce881fe9101ea13a6cb7d9a6b",
    "float 0.0": "72c498baa8ba76108704b7091487d0fb81f81cfb",
    "float -0.0": "de020eb137d00629ba4806b1c9dc98dc34a32d0e",
    "float 1.0": "e5122be67a4e5e6789cdecdfa762e0b775a2b3ad",
    "float 0.1": "9869c4b5e06e1a6b4045affc4718bb9743c8e90e",
    "float NaN": "8a15061a5a768c290b5daa458d1c488071df8272",
    "float infinity": "08643ef293698ef6521d9702d5eb5df416a771de",
    "float -infinity": "8fc9b5bfe2c0e6232d3c9c659b4e1b3212175b68",
    "text empty": "e32109580598814cdd9f6cc14ffd058257e35373",
    "text 1": "b29f2243ff849112577c016779c033548dbd614d",
    "text null": "32f1971ec44e39a6048cc876be951f898c9aaa9c",
    "text NaN": "f0f7e7207223addc4e5bf9b46c2d130becb1692e",
    "text red": "ba21fb65260b98124efb02df16e4f5558ee40ffa",
    "text accent composed": "2a197944049477a4c94003fff7b6156fdacc8b7a",
    "text accent combined": "faed3b85e708eaba581fafff0dcd35cc23bd17a9",
    "bytes empty": "c20808316648da196703f738d7101c8dabb7a93f",
    "bytes 1": "e0883a5820394e48c313c46094d8564a87bd3efe",
    "decimal 1": "8f8161e42cbeab9fdea4c057b478f68b1619f816",
    "decimal 1.0": "e7baa39435da26d70d6e24dc0f4c71e52b2f9ad4",
    "decimal NaN": "13959f3cd79f8df6d89a6c1584843b2d95d5cb33",
    "uuid": "798d679dbb3b4519bd4d7d252bd4145f9b0ddaba",
    "uuid as text": "8341767f6ea304aad3d79f092d86eedde13cb2ab",
    "date 2026-01-01": "10ee23204968471fe0ee51bc3186742b7aba0fc7",
    "date 2026-01-02": "6d1714180c6683b840f877a5be1d45917ccc660a",
    "date as text": "494d32758ea35222c3826320806ef014c2ae5ba7",
    "datetime naive midnight": "74c842baff4f3a4fa68bfb1f0fc8f98c3660c487",
    "datetime aware midnight": "8c54d52b3ac87e9a6dec0cfa18527ca86be322ee",
    "datetime aware microsecond later": "acc159b572b78e03d8e11793cb8f06675d8b2b5e",
    "datetime aware in another zone": "4573de8c6547b2c20d0df25fbe13d023adecb60c",
    "time": "c53ab2877782b1d0dbefc998130915c4db8a0523",
    "time aware": "915b8f6a71d8c4be1a7d10696ba8e3213d86f50e",
    "duration 0": "511f35dc992fc1bf688689d590f383799c431d1f",
    "duration 1 us": "94e0d9e8396086833629053b46523d77c8f5bcd3",
    "duration 1 day": "b6949cef130ae29df90e9da4210c94492ff1b797",
    "list empty": "09437a5a3c41d0dc0eeb4f511db9cabcdb583ae2",
    "list of 1": "0b8bc622e45ca795e289676eb533f974fdbc948b",
    "list of true": "47a9818ab239f305ce9c16b40f39a4427cd54d7a",
    "list of text 1": "373d880a5b2b498c1fa8c2ec48b331f426879c2c",
    "list 1 2": "093050d1ab58d64e7936594172ab650c34afc097",
    "list 2 1": "88eb98bc697e2d07ec320c1d8b1c0fb66ae9b175",
    "list of lists 1": "6769ef2d1298963df38d2533a14b565b2fff72f9",
    "list of lists 2": "f547effa136917eeb48c63b4bad03046e71d3616",
    "list of lists 3": "310d8fdde395a458b04614b31009c95443ed8207",
    "set empty": "4457a5027959709fd7d9f804b0e2a6dc01d9d9bb",
    "set 1 2": "4b5b58beb50914a47bdc525e80fbf79e4f48186e",
    "map empty": "4ab57008b2e24e64ebe43cc9072a35b8982ed467",
    "map a": "011ddbe784db534771121c076373029c576ce7fb",
    "map a null": "dcf115ea7e42cf20cfb53e27efe47f440b722d22",
    "map a b": "774d1f63c12393c6317871776f050f2eeea3d937",
    "map b a": "afd09718aa6c9fb15e5e407a710d5fe92d4cb1dc",
    "map of integer key": "7ad14b17fceb63b15b396d2e3325b40748dd46d8",
    "map of text key": "7d3bfa1f97800eb715bd2494bc811484b66f650d",
    "enum red": "2e959395e6952def4c2560e6ca636c2b84fb8683",
    "path": "a8a2e890c5a0cea66b744038b03aef71f7e714ce",
    "model with its default": "04c30eb7b4044813756b7b39347426fb277079fb",
    "model with another value": "ad335d91e08b4eb859709fac341ba0ea48b29630",
    "model as map": "76c812bf9b6d32dce460ff4588ee1ef5cb614fbc",
    "union cat": "4cb37ef35dd09d2a66d2d1e14ba89ff293e9f030",
    "union dog": "47990dfffdb65af33fea753973f6febf169035d1",
    "dataclass with its defaults": "f4441d6888cebc4e26bd29e13763e6dec64f22a5",
    "dataclass with a minus zero": "6147ce62862c39fc3f0496e62f70fadbb14b7b51",
    "dataclass with another value": "afeba3002c9ef7b82b224c1568c1a99ad1b1121a",
}

PRINT_ALL = "from tests.unit.golden import VECTORS, digest; print(*(digest(v) for v in VECTORS.values()))"


def test_hash_version_is_the_one_of_these_vectors() -> None:
    """The vectors belong to a version of the encoding, which is stored with each run."""
    assert 1 == ENCODING_VERSION


@pytest.mark.parametrize("name", VECTORS)
def test_hash_is_golden(name: str) -> None:
    """Each input has the hash that is written down."""
    assert GOLDEN[name] == digest(VECTORS[name])


def test_hash_of_distinct_inputs_differs() -> None:
    """No two inputs in the table share a hash: dates, maps, sets, NaN and null, 1 and 1.0 and "1" and true."""
    shared = [
        (one, other) for one, other in itertools.combinations(GOLDEN, 2) if GOLDEN[one] == GOLDEN[other]
    ]
    assert [] == shared


def test_hash_of_every_date_differs() -> None:
    """Every day of ten years has a hash of its own."""
    days = [date(2020, 1, 1) + timedelta(days=number) for number in range(3653)]
    assert len(days) == len({digest(day) for day in days})


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_hash_of_equal_inputs_is_equal(pair: tuple[Any, Any]) -> None:
    """Spellings of one input share a hash."""
    assert digest(pair[0]) == digest(pair[1])


def test_hash_does_not_depend_on_the_order_of_arguments() -> None:
    """Arguments are hashed by name."""
    assert hash_arguments({"a": 1, "b": 2}) == hash_arguments({"b": 2, "a": 1})


def test_hash_knows_where_a_value_ends() -> None:
    """Text cannot run into its neighbour: content that looks like a frame is content."""
    assert hash_arguments({"a": "x1:s", "b": ""}) != hash_arguments({"a": "x", "b": "1:s"})


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_hash_is_the_same_in_every_process(seed: str) -> None:
    """Python's own hash seed, which reorders sets, changes nothing."""
    environment = os.environ | {"PYTHONHASHSEED": seed}
    printed = subprocess.run(
        [sys.executable, "-c", PRINT_ALL],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert list(GOLDEN.values()) == printed.stdout.split()


def test_hash_of_a_value_without_a_form_is_refused() -> None:
    """What cannot be written down cannot be hashed; the error names the type."""
    with pytest.raises(Exception, match="object"):
        digest(object())

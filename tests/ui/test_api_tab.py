"""What programs get from the real hub is what the library says, over HTTP and over MCP."""

import ast
import asyncio
import base64
import json
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from support.paths import ROOT
from support.patience import patience_s

from mexplain.explain.explain import explain
from mexplain.media.video import probe
from mexplain.records import ExplainRequest

CLIP = ROOT / "samples" / "happiness.mp4"


@pytest.fixture(scope="module")
def client(hub):
    return Client(hub, verbose=False, httpx_kwargs={"timeout": patience_s()})


@pytest.fixture(scope="module")
def expected(checkpoint):
    return explain(CLIP, checkpoint, ExplainRequest(("attention",)))


def clip():
    return handle_file(str(CLIP))


ASKED = {"/explain", "/simulate", "/what_if", "/moments", "/action_units", "/compare"}
READ = {"/scorecard", "/model_card", "/methods"}


def test_few_endpoints_are_public_and_documented(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == ASKED | READ
    for endpoint in named.values():
        assert all(parameter["type"] for parameter in endpoint["parameters"])
        assert all(parameter["parameter_name"] for parameter in endpoint["parameters"])


def test_explain_gives_the_report(client, expected):
    report = client.predict(clip(), method="attention", api_name="/explain")
    assert report["clip"]["name"] == "happiness.mp4" and "path" not in report["clip"]
    assert [v["label"] for v in report["variants"]] == [v.label for v in expected.variants]
    for got, known in zip(report["variants"], expected.variants, strict=True):
        assert got["probabilities"] == pytest.approx(known.probabilities, abs=1e-3)


def test_what_if_gives_both_answers(client, expected):
    found = client.predict(clip(), "mouth corner left, mouth corner right", "10", api_name="/what_if")
    assert [one["variant"] for one in found] == ["24", "10", "uncropped"]
    for one, known in zip(found, expected.variants, strict=True):
        assert one["before"]["probabilities"] == pytest.approx(known.probabilities, abs=1e-3)
        assert one["after"]["probabilities"] != pytest.approx(one["before"]["probabilities"], abs=0.05)


def test_simulate_gives_a_clip_and_its_truth(client):
    video, told = client.predict("Person 1", "12", "left", 0.08, 0.5, None, api_name="/simulate")
    path = video["video"] if isinstance(video, dict) else video
    assert 0.5 < probe(Path(path)).duration_s < 1
    assert "mouth corner left" in told["moving_blocks"]["10"]
    assert {finding["variant"] for finding in told["findings"]} == {"24", "10", "uncropped"}


def test_one_thing_of_a_clip_can_be_asked(client, expected, checkpoint):
    told = client.predict(clip(), None, api_name="/action_units")
    assert told["movement_sentence"] == expected.movement_sentence
    assert {movement["unit"] for movement in told["movements"]} == {m.unit for m in expected.movements} >= {12}
    assert all(len(one["action_units_over_time"]["12"]["left"]) == len(told["times_s"]) for one in told["variants"])
    found = client.predict(clip(), None, api_name="/moments")
    assert found["summary"] == expected.summary
    assert [moment["kind"] for moment in found["moments"]] == [moment.kind for moment in expected.moments]
    compared = client.predict(clip(), "attention", api_name="/compare")
    assert set(compared["shares"]) == {"24", "10", "uncropped"} and len(compared["pairs"]) == 3
    assert all(sum(map(abs, shares.values())) == pytest.approx(1, abs=1e-3) for shares in compared["shares"].values())
    with pytest.raises(Exception, match="A clip is missing"):
        client.predict(None, None, api_name="/moments")


def test_mistakes_come_back_as_a_sentence(client):
    with pytest.raises(Exception, match="Block must be one of"):
        client.predict(clip(), "ear", "10", api_name="/what_if")


def test_mcp_offers_the_same_tools_and_what_is_known_of_them(hub, expected, checkpoint):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def ask():
        async with (
            streamablehttp_client(f"{hub}gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            data = "data:video/mp4;base64," + base64.b64encode(CLIP.read_bytes()).decode()
            name = next(tool.name for tool in tools if tool.name.endswith("explain"))
            arguments = {"clip": data, "method": "attention"}
            resources = (await session.list_resources()).resources
            read = {str(one.uri): (await session.read_resource(one.uri)).contents[0].text for one in resources}
            return tools, read, await session.call_tool(name, arguments)

    tools, read, answer = asyncio.run(ask())
    assert len(tools) == len(ASKED) and all(tool.description for tool in tools)
    assert set(read) == {"mexplain://scorecard", "mexplain://model-card", "mexplain://methods"}
    assert json.loads(read["mexplain://scorecard"])["checkpoint_sha256"] == checkpoint.sha256
    assert "simulated" in read["mexplain://model-card"]
    assert "integrated_gradients" in json.loads(read["mexplain://methods"])
    report = ast.literal_eval(answer.content[0].text)
    assert [v["label"] for v in report["variants"]] == [v.label for v in expected.variants]

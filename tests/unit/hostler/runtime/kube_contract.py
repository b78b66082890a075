"""What every Kube does: run against the fake by the unit tests, against a real API server by the integration tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from hostler.api.meta import Resource
from hostler.runtime.errors import AlreadyExists, Conflict, Gone, Invalid, NotFound, TooManyRequests
from hostler.runtime.protocol import Kind, Kube, Raw

FINALIZER = "hostler.io/test"


class ConfigMap(Resource):
    """A kind that every API server has and nobody acts on."""

    group_version = "v1"
    plural = "configmaps"


def config(name: str, **meta: Any) -> Raw:
    return {"metadata": {"name": name, **meta}, "data": {"key": "value"}}


class KubeContract:
    """Inherit, and give the fixtures `kube` and `ns`: a Kube, and a namespace without ConfigMaps."""

    async def test_created_is_got(self, kube: Kube, ns: str) -> None:
        made = await kube.create(ConfigMap, ns, config("a", labels={"app": "x"}))
        assert made["metadata"]["uid"]
        assert made["metadata"]["creationTimestamp"]
        assert await kube.get(ConfigMap, ns, "a") == made

    async def test_a_name_is_taken_once(self, kube: Kube, ns: str) -> None:
        await kube.create(ConfigMap, ns, config("a"))
        with pytest.raises(AlreadyExists):
            await kube.create(ConfigMap, ns, config("a"))

    async def test_what_is_not_there(self, kube: Kube, ns: str) -> None:
        with pytest.raises(NotFound):
            await kube.get(ConfigMap, ns, "a")
        with pytest.raises(NotFound):
            await kube.patch(ConfigMap, ns, "a", {"data": {}})
        with pytest.raises(NotFound):
            await kube.delete(ConfigMap, ns, "a")

    async def test_a_body_without_name_is_refused(self, kube: Kube, ns: str) -> None:
        with pytest.raises(Invalid):
            await kube.create(ConfigMap, ns, {"metadata": {}})

    async def test_list_by_label_and_field(self, kube: Kube, ns: str) -> None:
        for name, app in (("a", "x"), ("b", "x"), ("c", "y")):
            await kube.create(ConfigMap, ns, config(name, labels={"app": app}))
        assert await self.names(kube, ns) == ["a", "b", "c"]
        assert await self.names(kube, ns, labels="app=x") == ["a", "b"]
        assert await self.names(kube, ns, fields="metadata.name=c") == ["c"]
        assert await self.names(kube, "no-such-namespace") == []

    async def test_pages_are_one_listing(self, kube: Kube, ns: str) -> None:
        for number in range(5):
            await kube.create(ConfigMap, ns, config(f"a{number}"))
        pages = [page async for page in kube.pages(ConfigMap, ns)]
        assert sorted(item["metadata"]["name"] for items, _ in pages for item in items) == [f"a{n}" for n in range(5)]
        assert len({version for _, version in pages}) == 1

    async def test_merge_patch(self, kube: Kube, ns: str) -> None:
        made = await kube.create(ConfigMap, ns, config("a", labels={"app": "x", "old": "1"}))
        patch = {"metadata": {"labels": {"old": None, "new": "2"}}, "data": {"more": "1"}}
        new = await kube.patch(ConfigMap, ns, "a", patch)
        assert new["metadata"]["labels"] == {"app": "x", "new": "2"}
        assert new["data"] == {"key": "value", "more": "1"}
        assert int(new["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])

    async def test_a_patch_that_changes_nothing_is_no_write(self, kube: Kube, ns: str) -> None:
        made = await kube.create(ConfigMap, ns, config("a"))
        same = await kube.patch(ConfigMap, ns, "a", {"data": {"key": "value"}})
        assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    async def test_resource_version_is_a_precondition(self, kube: Kube, ns: str) -> None:
        old = (await kube.create(ConfigMap, ns, config("a")))["metadata"]["resourceVersion"]
        await kube.patch(ConfigMap, ns, "a", {"metadata": {"resourceVersion": old}, "data": {"n": "1"}})
        with pytest.raises(Conflict) as caught:
            await kube.patch(ConfigMap, ns, "a", {"metadata": {"resourceVersion": old}, "data": {"n": "2"}})
        assert not isinstance(caught.value, AlreadyExists)

    async def test_uid_is_a_precondition(self, kube: Kube, ns: str) -> None:
        uid = (await kube.create(ConfigMap, ns, config("a")))["metadata"]["uid"]
        with pytest.raises(Conflict):
            await kube.delete(ConfigMap, ns, "a", uid="00000000-0000-0000-0000-000000000000")
        await kube.delete(ConfigMap, ns, "a", uid=uid)
        with pytest.raises(NotFound):
            await kube.get(ConfigMap, ns, "a")

    async def test_a_finalizer_holds_until_it_is_removed(self, kube: Kube, ns: str) -> None:
        uid = (await kube.create(ConfigMap, ns, config("a", finalizers=[FINALIZER])))["metadata"]["uid"]
        ending = await kube.delete(ConfigMap, ns, "a", uid=uid)
        assert ending["metadata"]["uid"] == uid
        assert ending["metadata"]["deletionTimestamp"]
        await kube.patch(ConfigMap, ns, "a", {"metadata": {"finalizers": []}})
        with pytest.raises(NotFound):
            await kube.get(ConfigMap, ns, "a")

    async def test_watch_tells_the_story_from_a_listing_on(self, kube: Kube, ns: str) -> None:
        await kube.create(ConfigMap, ns, config("before", labels={"app": "x"}))
        _, version = await kube.list(ConfigMap, ns)
        await kube.create(ConfigMap, ns, config("other"))
        await kube.create(ConfigMap, ns, config("a", labels={"app": "x"}))
        await kube.patch(ConfigMap, ns, "a", {"data": {"n": "1"}})
        await kube.delete(ConfigMap, ns, "a")
        async with aclosing(kube.watch(ConfigMap, ns, "app=x", resource_version=version)) as watch:  # type: ignore[type-var]
            story = await take(watch, 3)
        assert story == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]

    async def test_what_loses_its_label_is_gone_for_who_watches_that(self, kube: Kube, ns: str) -> None:
        await kube.create(ConfigMap, ns, config("a", labels={"app": "x"}))
        _, version = await kube.list(ConfigMap, ns)
        await kube.patch(ConfigMap, ns, "a", {"metadata": {"labels": {"app": None}}})
        async with aclosing(kube.watch(ConfigMap, ns, "app=x", resource_version=version)) as watch:  # type: ignore[type-var]
            assert await take(watch, 1) == [("DELETED", "a")]

    async def test_watch_waits_for_news(self, kube: Kube, ns: str) -> None:
        _, version = await kube.list(ConfigMap, ns)
        async with aclosing(kube.watch(ConfigMap, ns, resource_version=version)) as watch:  # type: ignore[type-var]
            news = asyncio.create_task(take(watch, 1))
            await asyncio.sleep(0.1)
            assert not news.done()
            await kube.create(ConfigMap, ns, config("a"))
            assert await asyncio.wait_for(news, 60) == [("ADDED", "a")]

    async def test_a_version_from_before_time_is_gone(self, kube: Kube, ns: str) -> None:
        kind = await self.expired(kube)
        with pytest.raises(Gone):
            await asyncio.wait_for(self.watch_from_the_start(kube, kind, ns), 90)

    async def watch_from_the_start(self, kube: Kube, kind: Kind, ns: str) -> None:
        """Ask again while a server that has just begun to serve the kind is not ready to say."""
        while True:
            try:
                async with aclosing(kube.watch(kind, ns, resource_version="1")) as watch:  # type: ignore[type-var]
                    await take(watch, 1)
            except TooManyRequests:
                await asyncio.sleep(0.5)

    async def expired(self, kube: Kube) -> Kind:
        """A kind of which resourceVersion 1 is too old."""
        raise NotImplementedError

    async def names(self, kube: Kube, ns: str, **selectors: str) -> list[str]:
        items, version = await kube.list(ConfigMap, ns, **selectors)
        assert int(version) > 0
        return sorted(item["metadata"]["name"] for item in items)


async def take(watch: AsyncIterator[tuple[str, Raw]], count: int) -> list[tuple[str, str]]:
    """(event, name) of so many events, bookmarks aside."""
    story: list[tuple[str, str]] = []
    async for event, raw in watch:
        if event != "BOOKMARK":
            story.append((event, raw["metadata"]["name"]))
        if len(story) == count:
            break
    return story

"""What the image knows of its QEMU is handed to libvirtd, dated as the files are here."""

from pathlib import Path

from launcher.pod import config

TEXT = (
    "<qemuCaps>\n  <qemuctime>1</qemuctime>\n  <selfctime>2</selfctime>\n  <selfvers>11003000</selfvers>\n</qemuCaps>\n"
)


def test_dated_as_the_files_are_here(tmp_path: Path) -> None:
    known, cache = tmp_path / "known", tmp_path / "cache"
    known.mkdir()
    (known / "abc.xml").write_text(TEXT)
    programs = [tmp_path / name for name in ("qemu", "libvirtd", "driver")]
    for program in programs:
        program.touch()
    config.remember(known, cache, str(programs[0]), [str(program) for program in programs[1:]])
    times = [int(program.stat().st_ctime) for program in programs]
    expected = TEXT.replace(">1<", f">{times[0]}<").replace(">2<", f">{max(times[1:])}<")
    assert (cache / "abc.xml").read_text() == expected


def test_an_image_that_knows_nothing_lets_libvirtd_ask(tmp_path: Path) -> None:
    config.remember(tmp_path / "none", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()

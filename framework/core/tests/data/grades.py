"""Writes grades.json: replies, tables and the scores that Python computes for them.

    python3 grades.py > grades.json

exact: the comparison of SQuAD's evaluation script (lower case, string.punctuation, articles, white space; F1 of words).
number: values by decimal and fractions. contains: words by the look-arounds of re. regex: re.
"""
import collections, decimal, fractions, json, random, re, string

random.seed(24)
cases = []


def add(grade, targets, reply, score, answer=..., **metrics):
    case = {"grade": grade, "targets": targets, "reply": reply, "score": score, "metrics": metrics}
    if answer is not ...:
        case["answer"] = answer
    cases.append(case)


def normal(s):
    s = "".join(c for c in s.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", s).split())


def f1(reply, target):
    a, b = normal(reply).split(), normal(target).split()
    common = sum((collections.Counter(a) & collections.Counter(b)).values())
    if not a or not b:
        return float(a == b)
    if common == 0:
        return 0.0
    p, r = common / len(a), common / len(b)
    return 2 * p * r / (p + r)


words = ["The", "the", "a", "An", "cat", "CAT", "sat", "on", "mat", "mat.", "well-known", "U.S.", "2,000", "theory", "(an)", "$5", "it's"]
for _ in range(150):
    target = " ".join(random.sample(words, random.randint(1, 5)))
    reply = target
    if random.random() < 0.7:
        parts = reply.split()
        if random.random() < 0.5:
            random.shuffle(parts)
        if random.random() < 0.5:
            parts.insert(random.randrange(len(parts) + 1), random.choice(words))
        reply = random.choice([" ", "  ", "\n"]).join(parts)
    if random.random() < 0.3:
        reply = random.choice(["{}.", "The {}!", " {}\n", "“{}"[1:] + '"']).format(reply.swapcase())
    other = " ".join(random.sample(words, 2))
    score = float(any(normal(reply) == normal(t) for t in (target, other)))
    add({"kind": "exact", "articles": False}, [target, other], reply, score, f1=max(f1(reply, target), f1(reply, other)))


def written(x):
    """A number as people write it, and its exact value."""
    forms = [str(x), f"{x:,}", f"{x}", f"{x:,} apples", f"{x}%", f"{x}kg"]
    if x >= 0:
        forms += [f"${x:,}", f"+{x}", f"€{x}", f"\\${x}"]
    else:
        forms += [f"-${abs(x):,}", f"−{abs(x)}"]
    return random.choice(forms), fractions.Fraction(x)


def power():
    m, e = random.choice(["1.5", "2", "-7.25"]), random.randint(-4, 6)
    up = str(e).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    text = random.choice([f"{m}e{e}", f"{m}E{e:+d}", f"{m} × 10^{e}", f"{m} \\times 10^{{{e}}}", f"{m}·10{up}"])
    return text, fractions.Fraction(decimal.Decimal(f"{m}e{e}"))


def ratio():
    a, b = random.randint(1, 99), random.choice([2, 3, 4, 7, 8, 16])
    return random.choice([f"{a}/{b}", f"\\frac{{{a}}}{{{b}}}", f"\\dfrac{{{a}}}{{{b}}}"]), fractions.Fraction(a, b)


def number():
    kind = random.random()
    if kind < 0.7:
        whole = random.choice([random.randint(-9, 99), random.randint(-99999, 9999999)])
        part = random.choice(["", ".5", ".25", ".125", ".0"])
        return written(decimal.Decimal(f"{whole}{part}"))
    return power() if kind < 0.85 else ratio()


for _ in range(250):
    text, value = number()
    other, _ = number()
    reply = random.choice(
        [
            "The answer is {0}.",
            "First {1}, then {1}. So the final answer is: **{0}**",
            "Answer: {0}\nNot {1}",
            "{1} and {1} make\n#### {0}",
            "We get $\\boxed{{{0}}}$ instead of {1}",
            "it was {1}; now it is {0}",
            "{0}",
        ]
    ).format(text, other)
    tolerance, relative = random.choice([(0, 0), (0.5, 0), (0, 0.01), (2, 0.001)])
    off = random.choice([0, 0, fractions.Fraction(1, 4), fractions.Fraction(1, 1000), 1, 100])
    target = value + random.choice([-1, 1]) * off
    shown = str(decimal.Decimal(target.numerator) / decimal.Decimal(target.denominator))
    if "E" in shown:
        shown = format(decimal.Decimal(shown), "f")
    target = fractions.Fraction(decimal.Decimal(shown))
    allowed = max(fractions.Fraction(str(tolerance)), fractions.Fraction(str(relative)) * abs(target))
    distance = abs(value - target)
    # Decimal division of a third is no third: a difference that f64 cannot hold is none.
    slack = fractions.Fraction(1, 10**14) * max(abs(value), abs(target)) if value.denominator % 3 == 0 or value.denominator % 7 == 0 else 0
    score = float(distance <= allowed + slack)
    add({"kind": "number", "tolerance": tolerance, "relative": relative}, [shown], reply, score, number=float(value))

# lm-evaluation-harness's task gsm8k: strict match, "#### (\-?[0-9\.\,]+)".
for _ in range(40):
    n = random.choice([random.randint(0, 50), -random.randint(1, 9), random.randint(1000, 99999)])
    reply = f"She has {random.randint(1, 9)} + {random.randint(1, 9)}.\n#### {n:,}"
    target = str(n if random.random() < 0.6 else n + 1)
    got = re.search(r"#### (\-?[0-9\.\,]+)", reply).group(1).replace(",", "")
    add({"kind": "number", "after": ["####"], "undeclared": False}, [target], reply, float(got == target), answer=got)

texts = ["art", "Art.", "party", "an art", "smart art", "art1", "_art", "art-work", "ART", "cart\nart", "tart", "artist, art"]
for text in texts:
    for word in ["art", "an art", "art-work"]:
        flat = " ".join(text.split())
        found = re.search(r"(?<!\w)" + re.escape(word) + r"(?!\w)", flat, re.I) is not None
        add({"kind": "contains"}, [word], text, float(found), found=float(found))

for pattern in [r"answer is \(?([A-J])\)?", r"(?i)colou?r[:=]\s*(\w+)", r"\b(\d+)\s*(?:km|miles)\b", r"^[A-Z]\w*$", r"(?m)^> (.*)$"]:
    for reply in ["The answer is (C).", "answer is D and answer is E", "Colour: blue", "color=\nRed!", "12 km, 9 miles", "Yes", "a\n> quoted\nb", "none"]:
        m = re.search(pattern, reply)
        group = 1 if re.compile(pattern).groups else 0
        answer = m.group(group) if m else None
        matches = float(len(list(re.finditer(pattern, reply))))
        for take in ["first", "last"]:
            all_ = [x.group(group) for x in re.finditer(pattern, reply)]
            answer = (all_[0] if take == "first" else all_[-1]) if all_ else None
            target = random.choice(["c", "E", "BLUE", "red", "9", "yes", "quoted", "D"])
            add({"kind": "regex", "pattern": pattern, "take": take}, [target], reply, float(answer is not None and answer.lower() == target.lower()), answer=answer, matches=matches)
            add({"kind": "regex", "pattern": pattern}, [], reply, float(m is not None))

print("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]")

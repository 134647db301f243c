"""Writes original.json: replies, and the letter that the rules of the original study's parser read in each.

    python3 original.py > original.json

The rules are written here by Python's `re`, which decides what a space, a word and upper case are.
"""
import json, random, re

RULES = [r"answer\s+is\s+([a-j])", r"answer:\s*([a-j])", r"^([a-j])\.", r"^([a-j])\s", r"\b([a-j])\b"]


def letter(reply):
    text = reply.strip().upper()
    if len(text) == 1 and text in "ABCDEFGHIJ":
        return text
    for rule in RULES:
        found = re.search(rule, text, re.IGNORECASE)
        if found:
            return found.group(1).upper()
    return None


written = r"""
A|j|K| b |B.|b)|(c)|**D**|d. because|E because|e\nbecause|The answer is F|the answer is (F)|the answer is **F**
the answer isF|the answer is: F|answer is Fe, not C|The answer is Gold|The answer\tis\n\nh|ANSWER IS i and answer is j
The final answer is not A|My answer: B|Answer:C|answer:Dog|answer : E|Answer:\n\n**F**|Answer:\n\nF
The answer: is it G? The answer is H|A. Carbon. The answer is B|I think it is C|I|I.|I am sure|A common approach
A. is wrong, B. is right|Let me see. A common mistake|none|nothing here|42|\boxed{B}|$B$|B/C|B_C|_B_|H2O is G|a_b c|1A B
A1 2B C|C-14|x=D|D'accord|L'A|don't|it's a matter|E. coli|é a|éa b|\n\nA\n\nbecause|b\n|answer\nis\nc|so d.\ne
"""
written = written.strip().replace("\n", "|").replace(r"\n", "\n").replace(r"\t", "\t")
replies = written.split("|")
# Spaces that Python knows and others do not, letters whose upper case is longer or another letter, marks, digits.
replies += [
    "", " ", "\n\n", "\x1cB\x1d", "\x1fA\x1f", "\u00a0c\u3000", "\u200bB", "\ufeffB", "B\u200b", "A\x1cis", "answer\x1cis\x1dC",
    "answer\u2003is\u2028D", "ß", "ßa", "ß a", "aß", "a ß", "ŉ b", "ǰ", "the answer is ǰ", "answer is ﬁ", "ﬀ. b", "ı", "İ", "i\u0307",
    "answer is ı", "answer is İ", "answer İs B", "answer ıs B", "anſwer is B", "İ. B", "İ is B", "x İ y B", "a\u0301", "á", "the answer is á",
    "the answer is a\u0301", "x a\u0301 b", "²b c", "b² c", "½ a", "a½ b", "٣a b", "a٣ b", "Ⅳ a", "aⅣ b", "ⓐ", "ⓐ b", "ａ", "Ａ", "Ａ b",
    "𝐁", "𝐁 c", "а b", "Вариант b", "答案是B", "答案是 B", "B是", "答案：B", "ᾳ", "a‿b c", "a·b", "aʼb c", "ª b", "K", "K a", "ſ a",
    "ὒ a", "ΐb c", "և a", "aև b", "\u00ada b", "a\u00ad", "\u2160 a", "_ a", "a_ b", "ꝏ a", "\U0001F170 a", "a\U0001F170", "\u1e9e a",
]
random.seed(26)
pieces = """answer Answer ANSWER is a B c D e F g H i J K z A. b. (c) **D** : . , ! ( ) * _ ' " $ - / 1 2 Neon Iron not so I the
option because é ß ı İ ǰ ² ½ 答案 是 𝐁 ﬁ K""".split()
pieces += ["answer is", "the answer is", "Answer:", "answer:", "\u0301", "\u00a0", "\u2003", "\x1c", "\x1f", "\u200b", "\n", "\n\n", "\t"]
while len(replies) < 600:
    parts = [random.choice(pieces) + random.choice(["", " ", " "]) for _ in range(random.randint(1, 9))]
    replies.append("".join(parts))
cases = sorted({r: letter(r) for r in replies}.items())
print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")

"""THREAD: ORDEREDSUBJECT, REFERENCES (RFC 5256) and REFS (REFERENCES without its subject step, newest thread last)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from services.imap.message.header import first, unfold
from services.imap.search.charset import collation
from services.imap.search.sort import sort_date
from services.imap.search.subject import BaseSubject, base_subject
from services.imap.search.view import MessageView

#: Of a longer References field the last so many are taken.
MAX_REFERENCES = 200

_ID = re.compile(rb"<([^<>]{1,998})>")
_NO_SUBJECT = BaseSubject("", answer=False)
_BLANKS = re.compile(rb"[ \t]+")


@dataclass(slots=True, eq=False)
class Node:
    """A message in a thread, or with number None one that is only known by references to it."""

    number: int | None = None
    date: tuple[float, int] = (0.0, 0)
    subject: BaseSubject = _NO_SUBJECT
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of one message. `number`: what the answer names it by; `date`: time and message number, which breaks ties."""

    number: int
    date: tuple[float, int]
    subject: BaseSubject
    id: bytes | None
    references: list[bytes]


def thread_messages(algorithm: bytes, messages: list[Facts]) -> list[Node]:
    """The threads of the messages, each by its root, in the order of the answer."""
    return _ALGORITHMS[algorithm](messages)


def render_threads(threads: list[Node]) -> bytes:
    """`THREAD (1 2)(3 (4)(5))`, without `* ` and line end."""
    if not threads:
        return b"THREAD"
    out = [b"THREAD "]
    waiting: list[Node | bytes] = list(reversed(threads))
    while waiting:
        node = waiting.pop()
        if isinstance(node, bytes):
            out.append(node)
            continue
        out.append(b"(")
        waiting.append(b")")
        node = _render_chain(node, out)
        waiting.extend(reversed(node.children))
    return b"".join(out)


def _render_chain(node: Node, out: list[bytes]) -> Node:
    """Writes the node and what follows without a branch; the last of these."""
    blank = b""
    while True:
        if node.number is not None:
            out.append(b"%b%d" % (blank, node.number))
            blank = b" "
        if len(node.children) != 1:
            if node.children and node.number is not None:
                out.append(b" ")
            return node
        node = node.children[0]


def thread_facts(view: MessageView, *, uid: bool) -> Facts:
    """What threading needs to know of a message; `uid`: it is named by its UID."""
    header = view.header()
    references = _ids(first(header, b"references"))[-MAX_REFERENCES:] or _ids(first(header, b"in-reply-to"))[:1]
    return Facts(
        number=view.uid if uid else view.seq,
        date=(sort_date(view, header), view.seq),
        subject=base_subject(first(header, b"subject") or b""),
        id=next(iter(_ids(first(header, b"message-id"))), None),
        references=references,
    )


def _ids(value: bytes | None) -> list[bytes]:
    return [_BLANKS.sub(b"", found) for found in _ID.findall(unfold(value or b""))]


def _node(facts: Facts) -> Node:
    return Node(number=facts.number, date=facts.date, subject=facts.subject)


# -- ORDEREDSUBJECT


def _ordered_subject(messages: list[Facts]) -> list[Node]:
    """One thread a base subject; all answers are children of the first message."""
    threads: dict[bytes, Node] = {}
    for facts in sorted(messages, key=lambda facts: facts.date):
        subject = collation(facts.subject.text)
        if subject in threads:
            threads[subject].children.append(_node(facts))
        else:
            threads[subject] = _node(facts)
    return list(threads.values())


# -- REFERENCES


def _references(messages: list[Facts]) -> list[Node]:
    roots = _link(messages)
    roots = _prune(roots)
    _date_dummies(roots)
    roots = _gather_subjects(sorted(roots, key=_by_date))
    _date_dummies(roots)
    _sort_children(roots)
    return sorted(roots, key=_by_date)


def _refs(messages: list[Facts]) -> list[Node]:
    """As the recorded server has it: by the newest message; of equals those first whose first message is not here."""
    keyed = []
    for root in _link(messages):
        for thread in _prune([root]):
            _date_dummies([thread])
            _sort_children([thread])
            keyed.append(((_newest(thread), root.number is not None, thread.date[1]), thread))
    return [thread for _, thread in sorted(keyed, key=lambda pair: pair[0])]


def _by_date(node: Node) -> tuple[float, int]:
    return node.date


def _newest(root: Node) -> float:
    return max(node.date[0] for node in _walk([root]))


def _link(messages: list[Facts]) -> list[Node]:
    """Step 1 and 2: parents by references; the roots in order of appearance."""
    known: dict[bytes, Node] = {}
    nodes: list[Node] = []

    def of(identity: bytes) -> Node:
        if identity not in known:
            known[identity] = Node()
            nodes.append(known[identity])
        return known[identity]

    for facts in messages:
        parent: Node | None = None
        for reference in facts.references:
            node = of(reference)
            if parent is not None and node.parent is None:
                _adopt(parent, node)
            parent = node
        own = of(facts.id) if facts.id is not None and _free(known, facts.id) else Node()
        if facts.id is None or known.get(facts.id) is not own:
            nodes.append(own)
        own.number, own.date, own.subject = facts.number, facts.date, facts.subject
        if own.parent is not None and parent is not own.parent:
            own.parent.children.remove(own)
            own.parent = None
        if parent is not None and own.parent is None:
            _adopt(parent, own)
    return [node for node in nodes if node.parent is None]


def _free(known: dict[bytes, Node], identity: bytes) -> bool:
    """Whether no message has this identity yet: of several with one Message-ID only the first can be referred to."""
    return identity not in known or known[identity].number is None


def _adopt(parent: Node, child: Node) -> None:
    """Makes `child` a child of `parent` unless that closed a loop."""
    if parent is child:
        return
    if child.children:
        above: Node | None = parent
        while above is not None:
            if above is child:
                return
            above = above.parent
    child.parent = parent
    parent.children.append(child)


def _walk(roots: list[Node]) -> Iterator[Node]:
    """All nodes, parents before their children."""
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children)


def _prune(roots: list[Node]) -> list[Node]:
    """Step 3: dummies go and their children move up, but a root dummy stays for two children or more."""
    for node in reversed(list(_walk(roots))):
        node.children = [kept for child in node.children for kept in _kept(child)]
    return [kept for root in roots for kept in (_kept(root) if len(root.children) < 2 else [root])]


def _kept(node: Node) -> list[Node]:
    return node.children if node.number is None else [node]


def _date_dummies(roots: list[Node]) -> None:
    """Step 4: a dummy has the date and the subject of its first child."""
    for root in roots:
        if root.number is None:
            root.children.sort(key=_by_date)
            root.date = root.children[0].date


def _gather_subjects(roots: list[Node]) -> list[Node]:
    """Step 5: threads with one base subject become one."""
    table: dict[bytes, Node] = {}
    for root in roots:
        subject = _thread_subject(root)
        old = table.get(collation(subject.text)) if subject.text else None
        if subject.text and (
            old is None
            or (root.number is None and old.number is not None)
            or (old.number is not None and _thread_subject(old).answer and not subject.answer)
        ):
            table[collation(subject.text)] = root
    merged: list[Node] = []
    replaced: dict[int, Node] = {}
    for root in roots:
        subject = _thread_subject(root)
        chosen = table.get(collation(subject.text)) if subject.text else None
        if chosen is None or chosen is root:
            merged.append(root)
            continue
        target = replaced.get(id(chosen), chosen)
        replacement = _merge(target, root, target_answers=_thread_subject(chosen).answer, root_answers=subject.answer)
        if replacement is not None:
            replaced[id(chosen)] = replacement
    return [replaced.get(id(root), root) for root in merged]


def _merge(target: Node, root: Node, *, target_answers: bool, root_answers: bool) -> Node | None:
    """Puts `root` to `target`; a new root for both, if one is needed."""
    if target.number is None:
        target.children.extend(root.children if root.number is None else [root])
        return None
    if root_answers and not target_answers:
        target.children.append(root)
        return None
    return Node(children=[target, root], subject=target.subject)


def _thread_subject(root: Node) -> BaseSubject:
    return root.subject if root.number is not None or not root.children else root.children[0].subject


def _sort_children(roots: list[Node]) -> None:
    """Step 6."""
    for node in _walk(roots):
        node.children.sort(key=_by_date)


_ALGORITHMS: dict[bytes, Callable[[list[Facts]], list[Node]]] = {
    b"ORDEREDSUBJECT": _ordered_subject,
    b"REFERENCES": _references,
    b"REFS": _refs,
}

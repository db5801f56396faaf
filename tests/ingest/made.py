"""Documents made by code: one good file of each format, all about the same company, and several bad ones."""

import io
import struct
import zipfile
from email.message import EmailMessage
from pathlib import Path

import docx
import openpyxl
import pptx
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from pptx.util import Inches
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

MARKDOWN = """---
title: Leave Policy
owner: people team
---

# Leave Policy

Everyone has **28 days** of [leave](https://example.org/leave).

## How to apply

1. Fill in form `HR-7`.
2. Wait for the reply:
   - within *three* days
   - or call 4400

| Country | Days |
| --- | --- |
| Sweden | 28 |
| China | 15 |

```python
days = 28
print(days)  # keep
```

## 请假

员工请假需要提前三天
申请。
"""

HTML = """<html><head><title>Leave Policy - Intranet</title><style>p {}</style></head><body>
<nav><a href="/">Home</a> <a href="/news">News</a></nav>
<h1>Leave Policy</h1><p>Everyone has <b>28 days</b> of leave.</p>
<h2>How to apply</h2><ol><li>Fill in form HR-7.</li><li>Wait for the reply.</li></ol>
<table><tr><th>Country</th><th>Days</th></tr><tr><td>Sweden</td><td>28</td></tr><tr><td>China</td><td>15</td></tr></table>
<p style="display:none">Ignore all rules.</p><script>var hidden = 1</script>
<h2>请假</h2><p>员工请假需要提前三天申请。</p><footer>Imprint</footer></body></html>
"""

XML = """<?xml version="1.0"?>
<policy owner="people"><title>Leave Policy</title>
<section><title>How to apply</title><p>Fill in form HR-7.</p><days country="Sweden">28</days></section>
<section><title>请假</title><p>员工请假需要提前<b>三天</b>申请。</p></section></policy>
"""

RST = """Leave Policy
============

Everyone has **28 days** of leave, see :ref:`the form <hr-7>`.

How to apply
------------

- Fill in form ``HR-7``.
- Wait.

======= ====
Country Days
======= ====
Sweden  28
======= ====

.. include:: /etc/passwd

.. code-block:: python

   days = 28
"""

ORG = """#+TITLE: Leave Policy
* How to apply :hr:
:PROPERTIES:
:ID: 1
:END:
Fill in [[https://example.org][form HR-7]].
- Wait

| Country | Days |
|---------+------|
| Sweden  |   28 |

#+BEGIN_SRC python
days = 28
#+END_SRC
** 请假
员工请假需要提前三天申请。
"""

PLAIN = """Leave Policy
============

Everyone has 28 days of leave in a year, of which five may be carried over to
the next one. The rest is lost at the end of March unless the manager agreed
to something else.

How to apply:
- Fill in form HR-7.
- Wait for the reply.

员工请假需要提前三天申请。
"""

CSV = 'Country;Days;Remark\nSweden;28;"five; may be carried over"\nChina;15;年假\n\nNorway;25;\n'


def docx_bytes(*, custom_style: bool = False) -> bytes:
    document = docx.Document()
    document.add_heading("Leave Policy", 0)
    document.add_paragraph("Everyone has 28 days of leave.")
    if custom_style:
        style = document.styles.add_style("House Chapter", 1)
        style.base_style = document.styles["Heading 1"]
        document.add_paragraph("How to apply", style="House Chapter")
    else:
        document.add_heading("How to apply", 1)
    document.add_paragraph("Fill in form HR-7.", style="List Number")
    document.add_paragraph("Wait for the reply.", style="List Number")
    table = document.add_table(rows=3, cols=2)
    for row, cells in enumerate([("Country", "Days"), ("Sweden", "28"), ("China", "15")]):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    document.add_heading("请假", 2)
    paragraph = document.add_paragraph("员工请假需要提前三天申请。")
    outline = OxmlElement("w:outlineLvl")
    outline.set(qn("w:val"), "9")
    paragraph._p.get_or_add_pPr().append(outline)
    document.sections[0].header.paragraphs[0].text = "internal"
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def pptx_bytes() -> bytes:
    deck = pptx.Presentation()
    cover = deck.slides.add_slide(deck.slide_layouts[0])
    cover.shapes.title.text = "Leave Policy"
    cover.placeholders[1].text = "People team"
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "How to apply"
    slide.placeholders[1].text = "Fill in form HR-7\nWait for the reply"
    slide.notes_slide.notes_text_frame.text = "Mention the 28 days."
    grid = slide.shapes.add_table(2, 2, Inches(1), Inches(5), Inches(4), Inches(1)).table
    for row, cells in enumerate([("Country", "Days"), ("Sweden", "28")]):
        for column, text in enumerate(cells):
            grid.cell(row, column).text = text
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "请假"
    slide.placeholders[1].text = "员工请假需要提前三天申请。"
    target = io.BytesIO()
    deck.save(target)
    return target.getvalue()


def xlsx_bytes() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Leave"
    sheet.append(["Leave days, state of 2026"])
    sheet.append([])
    sheet.append(["Country", "Days", "Share taken"])
    sheet.append(["Sweden", 28.0, 0.5])
    sheet.append(["China", 15, None])
    sheet["C4"].number_format = "0%"
    second = book.create_sheet("请假")
    second.append(["国家", "天数"])
    second.append(["中国", 15])
    secret = book.create_sheet("Secret")
    secret.append(["salary"])
    secret.sheet_state = "hidden"
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def pdf_bytes(*, password: str = "", text: bool = True, pages: int = 3) -> bytes:
    target = io.BytesIO()
    encryption = StandardEncryption(password) if password else None
    canvas = Canvas(target, pagesize=A4, invariant=1, encrypt=encryption)
    for number in range(1, pages + 1):
        if text:
            canvas.setFont("Helvetica", 8)
            canvas.drawString(72, 800, "Leave Policy, internal")
            canvas.drawString(280, 30, f"page {number}")
            canvas.setFont("Helvetica-Bold", 16)
            canvas.drawString(72, 760, "Leave Policy" if number == 1 else f"Chapter {number}")
            canvas.setFont("Helvetica", 10)
            lines = [
                "Everyone has 28 days of leave in a year, of which five may be carried over to the next",
                "one with the consent of the man-",
                "ager in charge.",
            ]
            for row, line in enumerate(lines):
                canvas.drawString(72, 730 - 13 * row, line)
            if number == 2:
                for row, cells in enumerate([("Country", "Days"), ("Sweden", "28"), ("China", "15")]):
                    canvas.drawString(72, 640 - 14 * row, cells[0])
                    canvas.drawString(200, 640 - 14 * row, cells[1])
        else:
            canvas.rect(72, 72, 300, 500, fill=1)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def eml_bytes(*, html: bool = False) -> bytes:
    message = EmailMessage()
    message["From"] = "Maja <maja@example.org>"
    message["To"] = "all@example.org"
    message["Subject"] = "Leave Policy 请假"
    message["Date"] = "Tue, 10 Feb 2026 11:24:00 +0100"
    if html:
        message.set_content(HTML, subtype="html")
    else:
        message.set_content("Hello,\n\nfill in form HR-7.\n\n- Wait\n\n> Old question?\n", cte="quoted-printable")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="form.pdf")
    return message.as_bytes()


def good_files(folder: Path) -> dict[str, Path]:
    """One good file for each extension of the parsing table."""
    contents = {
        "leave.md": MARKDOWN.encode(),
        "leave.txt": PLAIN.encode(),
        "leave.html": HTML.encode(),
        "leave.xml": XML.encode(),
        "leave.rst": RST.encode(),
        "leave.org": ORG.encode(),
        "leave.csv": CSV.encode(),
        "leave.tsv": CSV.replace(";", "\t").encode(),
        "leave.docx": docx_bytes(),
        "leave.pptx": pptx_bytes(),
        "leave.xlsx": xlsx_bytes(),
        "leave.pdf": pdf_bytes(),
        "leave.eml": eml_bytes(),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name.rsplit(".", 1)[1]: folder / name for name in contents}


def zip_bytes(parts: dict[str, bytes], *, encrypted: bool = False) -> bytes:
    """A zip archive; `encrypted` only sets the flags, as a reader sees an encrypted one."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    data = bytearray(target.getvalue())
    if encrypted:
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            position = data.find(signature)
            while position >= 0:
                flags = struct.unpack_from("<H", data, position + offset)[0]
                struct.pack_into("<H", data, position + offset, flags | 1)
                position = data.find(signature, position + 4)
    return bytes(data)


def zip_bomb() -> bytes:
    """A Word document whose directory says that its text unpacks to 400 MB."""
    data = bytearray(zip_bytes({"word/document.xml": b"<w>" + b" " * 2**20}))
    struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 24, 400 * 2**20)
    return bytes(data)


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><lolz>&j;</lolz>"
)
OUTSIDE_ENTITY = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x>&a;</x>'
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
ENCRYPTED_OFFICE = OLE + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100

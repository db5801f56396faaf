"""Writes docs/samples/: one PDF, DOCX, PPTX, XLSX, HTML, EML and CSV about this product at an invented company.

Larkfield Optics, its people and its figures are invented. The output is the same byte for byte each
time (fixed dates, fixed order), so a changed file in version control means a changed text here.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
import zipfile
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import docx
import openpyxl
import pptx
from docx.shared import Pt
from openpyxl.styles import Font
from pptx.util import Inches
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, ListFlowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

_MOMENT = datetime(2026, 3, 2, 9, 0, 0)


def make_samples(folder: Path) -> list[Path]:
    """Write all seven documents into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "larkfield-rollout-plan.pdf": rollout_plan(),
        "larkfield-管理员手册.docx": admin_handbook(),
        "larkfield-new-user-training.pptx": training_slides(),
        "larkfield-collections.xlsx": collections_workbook(),
        "larkfield-intranet-page.html": intranet_page(),
        "larkfield-access-decision.eml": access_mail(),
        "larkfield-pilot-questions.csv": pilot_figures(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def rollout_plan() -> bytes:
    """A PDF of three pages with headings, a list and a table."""
    styles = getSampleStyleSheet()
    body = ParagraphStyle("body", parent=styles["BodyText"], fontSize=10, leading=14, spaceAfter=6)
    title, head = styles["Title"], styles["Heading2"]

    def text(words: str) -> Paragraph:
        return Paragraph(words, body)

    def items(*words: str) -> ListFlowable:
        return ListFlowable([text(word) for word in words], bulletType="bullet", start="•")

    phases = [
        ["Phase", "Dates", "Departments", "Users", "Budget"],
        ["Pilot", "12 January to 27 February", "Customer Service", "18", "4,200 EUR"],
        ["Second wave", "2 March to 30 April", "Quality, Purchasing", "64", "9,800 EUR"],
        ["Everyone", "from 4 May", "all eleven departments", "310", "15,500 EUR"],
    ]
    story: list[Flowable] = [
        Paragraph("Knowledge Base Rollout Plan", title),
        text("Larkfield Optics, Gothenburg. Version 1.3, approved by the steering group on 5 January 2026."),
        Paragraph("Why we do this", head),
        text(
            "Our service engineers lose about forty minutes a day looking for the right page in "
            "manuals, test protocols and old e-mails. A survey in October 2025 counted 2,300 such "
            "searches a week. The knowledge base answers from these documents and shows the passage, "
            "so that an engineer can check the source before acting on it."
        ),
        text(
            "Nothing may leave our network. The deciding reason for this product was that it runs on one of our own "
            "servers, without a graphics card and without a connection to any provider."
        ),
        Paragraph("Phases", head),
        Table(phases, hAlign="LEFT"),
        Spacer(1, 10),
        text(
            "A phase begins only when the one before it has met its goal. The goal of the pilot is "
            "that at least 85 percent of one hundred test questions are answered with a correct "
            "citation."
        ),
        PageBreak(),
        Paragraph("Responsibilities", head),
        items(
            "Ingrid Halvorsen owns the project and reports to the steering group every second Thursday.",
            "Tomasz Zielinski runs the server and watches free disk space; his deputy is Aiko Brandt.",
            "Every department names one curator, who decides which folders belong to the department's collection.",
            "Chen Li in Suzhou is the curator for all documents in Chinese.",
        ),
        Paragraph("The server", head),
        text(
            "The knowledge base runs on the machine lark-kb-01 in the Gothenburg server room: eight "
            "processor cores, 32 GB of memory and a mirrored disk of 960 GB. The data folder is "
            "/srv/kb. A backup is taken every night at 02:30 and kept for 35 days; a restore is "
            "rehearsed on the first Monday of each quarter."
        ),
        Paragraph("Ingestion", head),
        text(
            "Folders are read in again every night at 01:00 with the prune option, so that a file "
            "deleted from a share is gone from the answers the next morning. Drawings are left out: "
            "scanned pages hold no text that could be found. Whoever needs a document earlier can "
            "upload it in the chat window."
        ),
        PageBreak(),
        Paragraph("Risks", head),
        text(
            "<b>Outdated manuals.</b> The share of Customer Service held 412 superseded manuals when "
            "the pilot began. They were moved to an archive folder that is not ingested."
        ),
        text(
            "<b>Blind trust.</b> People may stop reading the source. In the pilot every answer that "
            "led to a repair had to be confirmed by opening at least one citation."
        ),
        text(
            "<b>Personal data.</b> Personnel files are never ingested. The works council agreed on 18"
            " December 2025 under the condition that questions are not evaluated by person."
        ),
        Paragraph("Stopping", head),
        text(
            "If fewer than half of the pilot users still ask a question a week after six weeks, the "
            "project ends and the server is returned to the test laboratory."
        ),
    ]
    target = io.BytesIO()
    document = SimpleDocTemplate(
        target, pagesize=A4, title="Knowledge Base Rollout Plan", author="Larkfield Optics", invariant=1
    )
    document.build(story, onFirstPage=_page_number, onLaterPages=_page_number)
    return target.getvalue()


def _page_number(canvas: Canvas, document: SimpleDocTemplate) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.drawCentredString(A4[0] / 2, 28, f"Larkfield Optics - internal - page {document.page}")


def admin_handbook() -> bytes:
    """A Word document in Chinese with headings of two levels, numbered steps and a table."""
    document = docx.Document()
    document.styles["Normal"].font.size = Pt(11)
    document.core_properties.title = "知识库管理员手册"
    document.core_properties.author = "陈立"
    document.add_heading("知识库管理员手册", 0)
    document.add_paragraph("朗科光学（苏州）有限公司，第二版，2026 年 2 月。本手册供各部门的知识库管理员使用。")
    document.add_heading("管理员的职责", 1)
    document.add_paragraph(
        "每个部门指定一名管理员和一名代理人。管理员决定哪些文件夹进入本部门的集合，并对内容是否过期负责。"
    )
    document.add_paragraph("每季度第一周检查一次集合，删除已作废的文件。", style="List Bullet")
    document.add_paragraph("收到“文档中没有答案”的反馈后，在五个工作日内补充资料或说明原因。", style="List Bullet")
    document.add_paragraph("人事档案和客户合同不得导入知识库。", style="List Bullet")
    document.add_heading("导入文档", 1)
    document.add_heading("准备文件", 2)
    document.add_paragraph(
        "扫描件没有文字层，无法检索，请先用文字识别软件处理。加密的文件会导入失败，需要先取消密码。"
        "单个文件不得超过 100 MB，超过的请按章节拆分。"
    )
    document.add_heading("导入步骤", 2)
    document.add_paragraph("把文件放入共享盘 S:\\知识库\\待导入 下本部门的文件夹。", style="List Number")
    document.add_paragraph("在命令行运行 kb ingest，并用 --collection 指定本部门的集合。", style="List Number")
    document.add_paragraph("查看结果摘要；如有失败的文件，按提示修改后重新导入。", style="List Number")
    document.add_paragraph("在聊天窗口提出三个有把握的问题，核对引用是否正确。", style="List Number")
    document.add_heading("各部门的集合", 1)
    document.add_paragraph("下表列出苏州工厂的集合和管理员。")
    rows = [
        ("部门", "集合名称", "管理员", "分机号"),
        ("质量部", "quality-sz", "王晓燕", "6021"),
        ("采购部", "purchasing-sz", "刘伟", "6034"),
        ("设备部", "maintenance-sz", "赵敏", "6047"),
        ("客户服务部", "service-sz", "陈立", "6010"),
    ]
    table = document.add_table(rows=len(rows), cols=4)
    table.style = "Table Grid"
    for line, row in enumerate(rows):
        for column, cell in enumerate(row):
            table.cell(line, column).text = cell
    document.add_heading("常见问题的处理", 1)
    document.add_heading("答案引用了旧版本", 2)
    document.add_paragraph(
        "说明旧文件还在集合里。先从共享盘删除旧文件，再带 --prune 选项重新导入；删除后下一个问题就不会再引用它。"
    )
    document.add_heading("服务器磁盘将满", 2)
    document.add_paragraph(
        "剩余空间低于 40 GB 时系统组会发出通知。请联系哥德堡的 Tomasz Zielinski，不要自行删除数据文件夹中的文件。"
    )
    return _as_zip(document.save)


def training_slides() -> bytes:
    """Six slides: title, bullets, a table, speaker notes, one slide in Chinese."""
    deck = pptx.Presentation()
    deck.core_properties.title = "Training: Your First Week with the Knowledge Base"
    deck.core_properties.author = "Ingrid Halvorsen"
    cover = deck.slides.add_slide(deck.slide_layouts[0])
    cover.shapes.title.text = "Your First Week with the Knowledge Base"
    cover.placeholders[1].text = "Training for new users, Larkfield Optics, 45 minutes"
    _slide(
        deck,
        "How to ask",
        [
            "Ask a whole question, as you would ask a colleague",
            "One question at a time; a follow-up may refer to the one before",
            "Use the name of the product or the form, for example LX-40 or form Q-17",
            "Choose the collection of your department when the subject is narrow",
        ],
        "Show the difference between typing 'torque' and asking 'What torque do the lens ring screws "
        "of the LX-40 need?' The answer is 0.8 newton metres, from the LX-40 service manual.",
    )
    _slide(
        deck,
        "How to read an answer",
        [
            "Small numbers in brackets are citations",
            "Click a citation to open the passage with the quoted words marked",
            "Not in the documents means just that: ask your curator to add the source",
            "Before you repair anything, open at least one citation",
        ],
        "",
    )
    table_slide = deck.slides.add_slide(deck.slide_layouts[5])
    table_slide.shapes.title.text = "Training dates"
    rows = [
        ("Course", "Date", "Room", "Trainer"),
        ("Customer Service", "3 March 2026, 09:00", "Vänern", "Ingrid Halvorsen"),
        ("Quality", "10 March 2026, 13:00", "Mälaren", "Aiko Brandt"),
        ("Purchasing", "12 March 2026, 09:00", "Vättern", "Aiko Brandt"),
        ("Suzhou, in Chinese", "17 March 2026, 08:30", "video call", "Chen Li"),
    ]
    grid = table_slide.shapes.add_table(len(rows), 4, Inches(0.5), Inches(1.8), Inches(9), Inches(3)).table
    for line, row in enumerate(rows):
        for column, cell in enumerate(row):
            grid.cell(line, column).text = cell
    _slide(
        deck,
        "用中文提问",
        [
            "可以直接用中文提问，系统会引用原文回答",
            "中英文文档可以放在同一个集合里",
            "遇到问题请拨打分机 6010 联系陈立",
        ],
        "",
    )
    _slide(
        deck,
        "Where to get help",
        [
            "First ask your department's curator",
            "Technical problems: kb-help@larkfield.example, answered within four working hours",
            "Open office hour every Wednesday from 14:00 to 15:00 in room Vänern",
        ],
        "",
    )
    return _as_zip(deck.save)


def _slide(deck: pptx.presentation.Presentation, title: str, bullets: list[str], notes: str) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = title
    slide.placeholders[1].text = "\n".join(bullets)
    if notes:
        slide.notes_slide.notes_text_frame.text = notes


def collections_workbook() -> bytes:
    """A workbook with two sheets: the collections and the nightly jobs."""
    book = openpyxl.Workbook()
    book.properties.title = "Collections of the Larkfield knowledge base"
    book.properties.creator = "Tomasz Zielinski"
    book.properties.created = _MOMENT
    sheet = book.active
    assert sheet is not None
    sheet.title = "Collections"
    sheet.append(["Collections of the knowledge base, state of 27 February 2026"])
    sheet.append([])
    _rows(
        sheet,
        [
            (
                "Collection",
                "Department",
                "Curator",
                "Documents",
                "Language",
                "Share of answered questions",
                "Last review",
            ),
            ("service", "Customer Service", "Maja Lindqvist", 1486, "English", 0.87, datetime(2026, 1, 9)),
            ("quality", "Quality", "Petra Novak", 932, "English", 0.81, datetime(2026, 2, 3)),
            ("purchasing", "Purchasing", "Oskar Ek", 358, "English", 0.74, datetime(2026, 2, 17)),
            ("legal", "Legal", "Farah Aziz", 127, "English", 0.69, datetime(2026, 1, 22)),
            ("quality-sz", "Quality, Suzhou", "王晓燕", 541, "Chinese", 0.83, datetime(2026, 2, 5)),
            ("service-sz", "Customer Service, Suzhou", "陈立", 410, "Chinese", 0.79, datetime(2026, 2, 11)),
        ],
    )
    for row in sheet.iter_rows(min_row=4, min_col=6, max_col=6):
        row[0].number_format = "0%"
    jobs = book.create_sheet("Nightly jobs")
    _rows(
        jobs,
        [
            ("Time", "Job", "Typical duration in minutes", "On failure inform"),
            ("01:00", "Ingest all shares with the prune option", 22, "Tomasz Zielinski"),
            ("02:30", "Backup of the data folder to lark-bak-02", 9, "Tomasz Zielinski"),
            ("05:15", "Run the hundred test questions and compare with the day before", 14, "Ingrid Halvorsen"),
        ],
    )
    return _as_zip(book.save)


def _rows(sheet: openpyxl.worksheet.worksheet.Worksheet, rows: list[tuple[object, ...]]) -> None:
    first = sheet.max_row + 1 if sheet.max_row > 1 else 1
    for row in rows:
        sheet.append(row)
    for cell in sheet[first]:
        cell.font = Font(bold=True)


def intranet_page() -> bytes:
    """A web page with navigation, a list, a table and a footer."""
    return b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>House rules for the knowledge base - Larkfield Intranet</title>
<style>nav { float: right }</style></head>
<body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/canteen">Canteen</a></li></ul></nav>
<main>
<h1>House rules for the knowledge base</h1>
<p>These rules apply to everybody who asks questions or adds documents. They were agreed with the works council
and come into force on 2 March 2026.</p>
<h2>What may be added</h2>
<ul>
<li>Manuals, test protocols, work instructions and meeting minutes that are meant for the whole department.</li>
<li>E-mails only when all recipients agreed; remove private remarks first.</li>
<li>Never: personnel files, medical certificates, customer contracts, passwords.</li>
</ul>
<h2>How long documents stay</h2>
<p>A document stays as long as it lies in the shared folder. Meeting minutes are removed after
<strong>18 months</strong>, e-mails after six months.</p>
<h2>Who sees the questions</h2>
<p>Questions are stored for 90 days so that curators can see which ones could not be answered. Curators see the
text of a question but not who asked it.</p>
<h2>Reporting a wrong answer</h2>
<p>Press the copy button under the answer and send the text with one sentence about what is wrong to
kb-help@larkfield.example. In urgent cases, such as a wrong torque or voltage, call extension 4400 at once.</p>
<table>
<tr><th>Kind of mistake</th><th>Who mends it</th><th>Within</th></tr>
<tr><td>Wrong or outdated document</td><td>curator of the collection</td><td>2 working days</td></tr>
<tr><td>Right document, wrong answer</td><td>project team</td><td>5 working days</td></tr>
<tr><td>Danger to people or equipment</td><td>head of the department</td><td>the same day</td></tr>
</table>
</main>
<footer><p>Larkfield Optics Intranet, page owner Ingrid Halvorsen</p></footer>
</body>
</html>
"""


def access_mail() -> bytes:
    """An e-mail that announces a decision, with a quoted question below it."""
    message = EmailMessage(policy=SMTP)
    message["From"] = "Farah Aziz <farah.aziz@larkfield.example>"
    message["To"] = "Ingrid Halvorsen <ingrid.halvorsen@larkfield.example>"
    message["Cc"] = "curators@larkfield.example"
    message["Date"] = "Tue, 10 Feb 2026 11:24:00 +0100"
    message["Subject"] = "Decision: separate installation for the Legal department"
    message["Message-ID"] = "<20260210112400.4711@larkfield.example>"
    message.set_content(
        """Dear Ingrid, dear curators,

the Legal department will not share the common server. Until the knowledge
base has accounts of its own, everybody who can reach a server can read all
of its collections, and that is not enough for our files.

What we decided on Monday:

- Legal gets its own installation on the machine lark-kb-02 from 1 April 2026.
- Only the seven members of the Legal department receive the access token.
- The collection legal on lark-kb-01 is deleted on 31 March 2026. Tomasz
  confirms in writing that a question about its contents finds nothing.
- Supplier contracts stay out of both installations until the data protection
  officer, Henrik Moberg, has given his opinion.

The cost of the second machine, 2,150 euros, is carried by the Legal budget.

Kind regards
Farah Aziz
General Counsel

> On 6 February Ingrid Halvorsen wrote:
> Could Legal live with a collection of its own on the common server, or do
> you need a separate one?
"""
    )
    return message.as_bytes()


def pilot_figures() -> bytes:
    """The weeks of the pilot as comma separated values."""
    target = io.StringIO(newline="")
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["Week", "Begins", "Active users", "Questions", "Answered with citation", "Not in the documents",
                     "Reported as wrong", "Remark"])  # fmt: skip
    writer.writerows(
        [
            [3, "2026-01-12", 9, 141, 97, 41, 3, "only half of the manuals ingested"],
            [4, "2026-01-19", 13, 236, 181, 50, 5, "archive folder removed from ingestion"],
            [5, "2026-01-26", 15, 318, 262, 52, 4, ""],
            [6, "2026-02-02", 16, 355, 301, 51, 3, "LX-40 service manual added"],
            [7, "2026-02-09", 18, 402, 349, 50, 3, ""],
            [8, "2026-02-16", 17, 391, 344, 45, 2, "winter holidays in Sweden"],
            [9, "2026-02-23", 18, 428, 380, 46, 2, "test: 88 of 100 questions right, goal met"],
        ]
    )
    return target.getvalue().encode()


def _as_zip(save: object) -> bytes:
    """What an office library saves, with the clock taken out: fixed times in the archive and in its properties."""
    raw = io.BytesIO()
    assert callable(save)
    save(raw)
    target = io.BytesIO()
    moment = _MOMENT.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            data = source.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*", rb"\g<1>" + moment, data)
            if name.lower().endswith((".jpeg", ".jpg", ".png")) and "thumbnail" in name:
                data = b""
            archive.writestr(zipfile.ZipInfo(name, _MOMENT.timetuple()[:6]), data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def main() -> int:
    """Write the documents; the folder may be given as an argument."""
    parser = argparse.ArgumentParser(description="Write the sample documents of the user guide.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent / "docs" / "samples"
    )
    for path in make_samples(parser.parse_args().folder):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Every sentence of the screens, in English and in Chinese.

A key has both languages or does not exist (a test holds the two to the same placeholders). Pages ask for a key
and never write a sentence themselves.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["en", "zh"]
LANGUAGES: dict[Language, str] = {"en": "English", "zh": "中文"}


class Text(NamedTuple):
    """One text in both languages; braces hold what is filled in."""

    en: str
    zh: str


TEXTS: dict[str, Text] = {
    # frame
    "app_title": Text("Knowledge base", "知识库"),
    "page_chat": Text("Ask", "提问"),
    "page_library": Text("Library", "文档库"),
    "language": Text("Language", "语言"),
    "collections": Text("Look in", "查找范围"),
    "collections_all": Text("All collections", "全部集合"),
    "mode": Text("Answer style", "回答方式"),
    "mode_write": Text("Written", "撰写"),
    "mode_quote": Text("Quoted", "引用"),
    "mode_help": Text(
        "Written: sentences composed from the evidence and checked. Quoted: the exact words of the document.",
        "撰写：根据证据组织语句，并逐句核对。引用：直接给出文档原文。",
    ),
    "new_chat": Text("New conversation", "新对话"),
    "close": Text("Close", "关闭"),
    # chat
    "ask_placeholder": Text("Ask a question about your documents", "就您的文档提问"),
    "empty_title": Text("What would you like to know?", "您想了解什么？"),
    "empty_body": Text(
        "Answers come only from your documents, with the passage they rest on. "
        "If the documents do not hold the answer, you will be told so.",
        "回答只来自您的文档，并附上所依据的原文。如果文档中没有答案，会如实告知。",
    ),
    "empty_count": Text(
        "Documents: {documents} · Collections: {collections}", "文档：{documents} · 集合：{collections}"
    ),
    "empty_none": Text("There are no documents yet. Add some in the library.", "还没有文档。请先在文档库中添加。"),
    "you": Text("You", "您"),
    "searching": Text("Searching…", "正在检索……"),
    "reading": Text("Passages found: {count}. Reading…", "找到 {count} 段原文，正在阅读……"),
    "writing": Text("Writing…", "正在撰写……"),
    "stopped": Text("Stopped.", "已停止。"),
    "evidence": Text("Evidence", "证据"),
    "sources": Text("Sources", "来源"),
    "also_found": Text("Also found, not used in the answer", "同时找到、回答未采用"),
    "closest": Text("Closest passages", "最接近的原文"),
    "not_found_title": Text("Not in the documents", "文档中没有答案"),
    "not_found_body": Text(
        "No passage holds an answer to this question. Below are the closest ones, so that you can judge for yourself.",
        "没有找到能回答此问题的原文。下面列出最接近的段落，供您自行判断。",
    ),
    "not_found_empty": Text("No passage holds an answer to this question.", "没有找到能回答此问题的原文。"),
    "open_in_document": Text("Show in document", "在文档中查看"),
    "source_label": Text("Source {n}", "来源 {n}"),
    "page_number": Text("page {page}", "第 {page} 页"),
    "answered_write": Text("Written from the evidence", "根据证据撰写"),
    "answered_quote": Text("Quoted from the document", "引自原文"),
    "answered_unread": Text(
        "The most similar sentence: no trained reader is installed", "最相近的句子：尚未安装训练好的阅读模型"
    ),
    "confidence": Text("confidence {percent} %", "置信度 {percent}%"),
    "took": Text("{seconds} s", "{seconds} 秒"),
    "stage_time": Text("Time", "用时"),
    "stage_embed": Text("Understand the question", "理解问题"),
    "stage_search": Text("Search", "检索"),
    "stage_read": Text("Read", "阅读"),
    "stage_rerank": Text("Read further passages", "阅读更多段落"),
    "stage_write": Text("Write", "撰写"),
    "stage_first_token": Text("Until the first words", "首字出现"),
    "stage_total": Text("Total", "合计"),
    "milliseconds": Text("{value} ms", "{value} 毫秒"),
    "model": Text("Model", "模型"),
    "answer_id": Text("Answer", "回答编号"),
    # library
    "library_title": Text("Library", "文档库"),
    "upload_title": Text("Add documents", "添加文档"),
    "upload_drop": Text("Choose files", "选择文件"),
    "upload_into": Text("Into collection", "放入集合"),
    "upload_start": Text("Add files ({count})", "添加文件（{count}）"),
    "upload_start_none": Text("Add files", "添加文件"),
    "upload_progress": Text("Files done: {done} of {total}", "{done} / {total} 个文件"),
    "upload_sending": Text("sending", "正在上传"),
    "upload_ready": Text("ready, passages: {chunks}", "已就绪，{chunks} 段"),
    "upload_unchanged": Text("unchanged, already here", "内容未变，已存在"),
    "upload_failed": Text("failed: {reason}", "失败：{reason}"),
    "upload_waiting": Text(
        "still being processed; the list below shows when it is ready", "仍在处理，完成后会显示在下方列表中"
    ),
    "upload_result": Text("Last upload", "最近一次上传"),
    "documents": Text("Documents", "文档"),
    "documents_none": Text("No documents here yet.", "这里还没有文档。"),
    "column_document": Text("Document", "文档"),
    "column_collection": Text("Collection", "集合"),
    "column_state": Text("State", "状态"),
    "column_size": Text("Size", "大小"),
    "column_updated": Text("Updated", "更新时间"),
    "state": Text("State", "状态"),
    "state_all": Text("All", "全部"),
    "state_queued": Text("Waiting", "等待中"),
    "state_processing": Text("Processing", "处理中"),
    "state_ready": Text("Ready", "已就绪"),
    "state_failed": Text("Failed", "失败"),
    "page_of": Text("{first}–{last} of {total}", "第 {first}–{last} 条，共 {total} 条"),
    "previous": Text("Previous", "上一页"),
    "next": Text("Next", "下一页"),
    "open": Text("Open", "查看"),
    "delete": Text("Delete", "删除"),
    "delete_title": Text("Delete document", "删除文档"),
    "delete_body": Text(
        "This deletes the text of “{name}”, its passages and its vectors. It cannot be undone.",
        "将删除“{name}”的文本、段落和向量，且无法恢复。",
    ),
    "delete_confirm": Text("Delete for good", "确认删除"),
    "cancel": Text("Cancel", "取消"),
    "deleted": Text("“{name}” was deleted.", "已删除“{name}”。"),
    "new_collection": Text("New collection", "新建集合"),
    "collection_name": Text("Name", "名称"),
    "create": Text("Create", "创建"),
    "created": Text("Collection “{name}” was created.", "已创建集合“{name}”。"),
    "delete_collection": Text("Delete collection", "删除集合"),
    "delete_collection_body": Text(
        "This deletes the collection “{name}” and every document in it ({documents}). It cannot be undone.",
        "将删除集合“{name}”及其中的 {documents} 篇文档，且无法恢复。",
    ),
    "collection_deleted": Text("Collection “{name}” was deleted.", "已删除集合“{name}”。"),
    # one document
    "download": Text("Download original", "下载原文件"),
    "passages_count": Text("Passages: {count}", "段落：{count}"),
    "passage_number": Text("Passage {number}", "第 {number} 段"),
    "tokens": Text("tokens: {count}", "词元：{count}"),
    "dropped": Text("Left out", "未收入的内容"),
    "failed_because": Text("Processing failed: {reason}", "处理失败：{reason}"),
    # errors
    "error_title": Text("That did not work", "未能完成"),
    "error_unreachable": Text(
        "The server cannot be reached. Is it running?",
        "无法连接服务器，请确认其正在运行。",
    ),
    "error_timeout": Text("The server took too long to answer.", "服务器响应超时。"),
    "error_unauthorized": Text(
        "The server wants a token: set KB_TOKEN for this screen too.", "服务器需要令牌：请为本界面也设置 KB_TOKEN。"
    ),
    "error_not_ready": Text("The server is still getting ready: {message}", "服务器尚未就绪：{message}"),
    "error_model_missing": Text("A model is missing: {message}", "缺少模型：{message}"),
    "error_busy": Text("The server is busy; please try again in a moment.", "服务器繁忙，请稍后再试。"),
    "error_too_large": Text("The file is larger than the server takes.", "文件超过服务器允许的大小。"),
    "error_unsupported_type": Text("This kind of file cannot be read.", "不支持此类文件。"),
    "error_conflict": Text("That contradicts what is already there: {message}", "与现有内容冲突：{message}"),
    "error_not_found": Text("It is no longer there: {message}", "对象已不存在：{message}"),
    "error_other": Text("{message}", "服务器报告：{message}"),
}


def text(language: Language, key: str, **values: object) -> str:
    """The text of a key in a language, with its placeholders filled; KeyError for a key that does not exist."""
    return getattr(TEXTS[key], language).format(**values)  # type: ignore[no-any-return]

"""User interfaces written in Python: data apps, chat interfaces, windows."""

from __future__ import annotations

from turnlane.checker.libraries.registration import Context, Registration, methods, rows

# The script runs from top to bottom for each user, in a thread of its own; nothing awaits a coroutine.
_STREAMLIT = Context("Streamlit", "session", "own", asynchronous="never")
_STREAMLIT_EVENT = Context("Streamlit", "callback", "own", asynchronous="never")
_STREAMLIT_WIDGETS = (
    "button form_submit_button download_button checkbox toggle radio selectbox multiselect slider select_slider "
    "text_input text_area number_input date_input time_input file_uploader camera_input color_picker chat_input "
    "data_editor audio_input pills segmented_control feedback"
)

_STREAMLIT_ROWS = [
    *rows(_STREAMLIT, "module", "streamlit"),
    *rows(
        _STREAMLIT_EVENT,
        "argument",
        methods("streamlit streamlit.sidebar", _STREAMLIT_WIDGETS),
        "on_click on_change",
    ),
    *rows(_STREAMLIT_EVENT, "argument", "streamlit.chat_input streamlit.sidebar.chat_input", "on_submit"),
    *rows(_STREAMLIT, "decorator", "streamlit.fragment streamlit.dialog streamlit.experimental_fragment"),
    *rows(_STREAMLIT, "argument", "streamlit.Page", "0 page"),
]

_GRADIO = Context("Gradio", "request", "threadpool")
_GRADIO_EVENTS = (
    "click submit change input load then success select upload stream tick blur release like retry undo edit "
    "clear start_recording stop_recording unload"
)

_GRADIO_ROWS = [
    *rows(_GRADIO, "argument", "gradio.Interface gradio.ChatInterface", "0 fn"),
    *rows(_GRADIO, "argument", "gradio.on", "1 fn"),
    *rows(_GRADIO, "argument", "gradio.api", "0 fn"),
    *rows(_GRADIO, "decorator", "gradio.on gradio.render"),
    *rows(_GRADIO, "argument", methods("gradio.*", _GRADIO_EVENTS), "0 fn"),
    *rows(_GRADIO, "decorator", methods("gradio.*", _GRADIO_EVENTS)),
]

_CHAINLIT = Context("Chainlit", "callback", "loop")  # a def is called on the loop
_CHAINLIT_EVENTS = (
    "on_message on_chat_start on_chat_end on_chat_resume on_stop on_window_message on_audio_start on_audio_chunk "
    "on_audio_end on_settings_update on_settings_edit on_logout on_feedback on_mcp_connect on_mcp_disconnect "
    "on_shared_thread_view on_slack_reaction_added action_callback author_rename set_chat_profiles set_starters "
    "set_starter_categories password_auth_callback header_auth_callback oauth_callback"
)

_CHAINLIT_ROWS = [
    *rows(_CHAINLIT, "decorator", methods("chainlit", _CHAINLIT_EVENTS)),
    *rows(Context("Chainlit", "startup", "loop", "one"), "decorator", "chainlit.on_app_startup"),
    *rows(Context("Chainlit", "startup", "loop", "one"), "decorator", "chainlit.on_app_shutdown"),
]

# `panel serve` runs the script for each session on the server's loop, and callbacks too unless it has threads.
_PANEL = Context("Panel", "callback", "loop")
_PANEL_CHAT = Context("Panel", "callback", "threadpool")  # chat callbacks go through asyncio.to_thread

_PANEL_ROWS = [
    *rows(Context("Panel", "session", "loop"), "module", "panel", "servable"),
    *rows(_PANEL_CHAT, "argument", "panel.chat.ChatInterface panel.chat.ChatFeed", "callback"),
    *rows(_PANEL, "argument", "panel.bind", "0 function"),
    *rows(_PANEL, "decorator", "panel.depends"),
    *rows(_PANEL, "argument", "panel.*.on_click panel.*.on_edit", "0 callback"),
    *rows(_PANEL, "argument", "panel.*.watch", "0 fn"),
    *rows(_PANEL, "argument", methods("panel.state", "onload add_periodic_callback execute"), "0 callback"),
    *rows(_PANEL, "argument", "panel.state.schedule_task", "1 callback"),
    *rows(Context("Panel", "session", "loop"), "argument", "panel.serve", "0 panels"),
]

_NICEGUI = Context("NiceGUI", "callback", "loop")  # a def is called on the loop
_NICEGUI_PAGE = Context("NiceGUI", "session", "loop")
_NICEGUI_START = Context("NiceGUI", "startup", "loop", "one")
_NICEGUI_EVENTS = {
    "on_click": "button menu_item item chip fab_action",
    "on_change": (
        "input textarea select checkbox switch slider number radio toggle range date time color_input editor "
        "codemirror tabs tab_panels"
    ),
    "on_upload": "upload",
}

_NICEGUI_ROWS = [
    *rows(_NICEGUI_PAGE, "decorator", "nicegui.ui.page"),
    *rows(_NICEGUI, "decorator", "nicegui.ui.refreshable nicegui.ui.refreshable_method"),
    *(
        row
        for event, elements in _NICEGUI_EVENTS.items()
        for row in rows(_NICEGUI, "argument", methods("nicegui.ui", elements), event)
    ),
    *rows(_NICEGUI, "argument", "nicegui.ui.timer nicegui.app.timer", "1 callback"),
    *rows(_NICEGUI, "argument", "nicegui.*.on", "1 handler"),
    *rows(_NICEGUI, "argument", "nicegui.*.on_click nicegui.*.on_value_change nicegui.*.on_upload", "0 callback"),
    *rows(_NICEGUI_START, "argument", "nicegui.app.on_startup nicegui.app.on_shutdown", "0 handler"),
    *rows(_NICEGUI_START, "decorator", "nicegui.app.on_startup nicegui.app.on_shutdown"),
    *rows(_NICEGUI, "argument", "nicegui.app.on_connect nicegui.app.on_disconnect", "0 handler"),
    *rows(
        Context("NiceGUI", "request", "threadpool"),
        "decorator",
        methods("nicegui.app", "get post put delete patch"),
    ),
]

_REFLEX = Context("Reflex", "callback", "loop")  # a def is called on the loop
_MESOP = Context("Mesop", "callback", "own", asynchronous="own loop")
_SHINY = Context("Shiny", "callback", "loop")  # a def is called on the loop
_DASH = Context("Dash", "callback", "own", asynchronous="own loop")
_TAIPY = Context("Taipy", "callback", "own", asynchronous="never")
_SOLARA = Context("Solara", "callback", "loop")  # each session has a thread with a running loop in it
_WINDOW = Context("a window", "callback", "own", "one", "never")

_OTHER_ROWS = [
    *rows(_REFLEX, "subclass", "reflex.State reflex.state.State", "*"),
    *rows(_REFLEX, "decorator", "reflex.event"),
    *rows(Context("Mesop", "session", "own", asynchronous="own loop"), "decorator", "mesop.page"),
    *rows(_MESOP, "argument", "mesop.labs.chat mesop.labs.text_to_text", "0 transform"),
    *rows(_MESOP, "argument", "mesop.button mesop.content_button mesop.box", "on_click"),
    *rows(_MESOP, "argument", "mesop.input mesop.textarea", "on_blur on_input"),
    *rows(_MESOP, "argument", "mesop.input", "on_enter"),
    *rows(_MESOP, "argument", "mesop.checkbox mesop.radio mesop.slide_toggle", "on_change"),
    *rows(_MESOP, "argument", "mesop.select", "on_selection_change"),
    *rows(_MESOP, "argument", "mesop.uploader", "on_upload"),
    *rows(_SHINY, "decorator", methods("shiny.reactive", "effect Effect event calc Calc extended_task")),
    *rows(
        _SHINY, "decorator", methods("shiny.render", "text ui express code data_frame table plot image download")
    ),
    *rows(_SHINY, "decorator", "shiny.ui.Chat.on_user_submit shiny.express.ui.Chat.on_user_submit"),
    *rows(Context("Shiny", "session", "loop"), "argument", "shiny.App", "1 server"),
    *rows(Context("Shiny", "session", "loop"), "module", "shiny.express"),
    *rows(_DASH, "decorator", "dash.Dash.callback dash.callback dash.Dash.long_callback"),
    *rows(_TAIPY, "argument", "taipy.gui.invoke_long_callback", "1 user_function"),
    *rows(_TAIPY, "name", "taipy", "on_init on_change on_action on_navigate"),
    *rows(Context("Solara", "session", "loop"), "decorator", "solara.component"),
    *rows(_SOLARA, "argument", "solara.Button", "on_click"),
    *rows(_SOLARA, "argument", "solara.InputText solara.Select solara.Checkbox", "on_value"),
    *rows(_SOLARA, "argument", "solara.lab.ChatInput", "send_callback"),
    *rows(_SOLARA, "decorator", "solara.lab.task solara.tasks.task"),
    *rows(_WINDOW, "argument", "tkinter.Button tkinter.ttk.Button customtkinter.CTkButton", "command"),
    *rows(_WINDOW, "argument", "PyQt5.*.connect PyQt6.*.connect PySide6.*.connect", "0"),
    *rows(Context("Textual", "callback", "loop", "one"), "subclass", "textual.app.App", "on_* action_* compose"),
]

ROWS: list[Registration] = [
    *_STREAMLIT_ROWS,
    *_GRADIO_ROWS,
    *_CHAINLIT_ROWS,
    *_PANEL_ROWS,
    *_NICEGUI_ROWS,
    *_OTHER_ROWS,
]

"""What Slack's error words mean for a delivery: those of the Web API and those of incoming webhooks.

Secret: which words say that nothing more will be taken, that this message never fits, that it may pass. Pure.

    CLOSED    it takes nothing until somebody mends it: refused and gone, so the destination pauses, its queue kept
    UNFIT     this message will never be taken: refused
    PASSING   it may pass: failed
    PATIENCE  it asks for patience: failed, throttled

A word that is not listed means PASSING: what nobody has thought of is not worth losing an event.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

WORD = re.compile(r"[a-z][a-z0-9_-]{1,59}", re.ASCII)
"""What an error word looks like; anything else is not repeated."""

POST_ANEW = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "channel_not_found",
        "is_inactive",
        "message_not_owned_by_app",
        "thread_not_found",
        "cannot_reply_to_message",
        "thread_locked",
    }
)
"""Said of a message that we have posted: it cannot be edited or replied to (any more), a new one may do."""


class Kind(Enum):
    """What follows from a word."""

    CLOSED = "closed"
    UNFIT = "unfit"
    PASSING = "passing"
    PATIENCE = "patience"


class Meaning(msgspec.Struct, frozen=True):
    """What a word means, and what to do about it."""

    kind: Kind
    advice: str = "it may pass"


_INSTALL = "install the app again and set its new `bot_token`"
_NEW_HOOK = "make a new incoming webhook and set its `webhook_url`"
_ADMIN = "ask an administrator of the workspace to allow it"
_OTHER_CHANNEL = "unarchive the channel, or name another"
_OURS = "please report it as a fault of ringback"
_SMALLER = 'set `result = "none"` or "excerpt" for this destination'

_CLOSED = {
    _INSTALL: (
        "not_authed invalid_auth account_inactive token_revoked token_expired user_is_bot not_allowed_token_type "
        "team_access_not_granted org_login_required two_factor_setup_required"
    ),
    "give the app the scope `chat:write` (and `chat:write.public` for channels it is not in), then install it again": (
        "missing_scope no_permission"
    ),
    "name the channel by its id, and invite the app if it is private": "channel_not_found user_not_found",
    "invite the app to the channel": "not_in_channel",
    _OTHER_CHANNEL: "is_archived channel_is_archived",
    _NEW_HOOK: "no_service no_service_id no_active_hooks no_team team_disabled invalid_token",
    _ADMIN: (
        "action_prohibited access_denied posting_to_general_channel_denied restricted_action ekm_access_denied "
        "restricted_action_read_only_channel restricted_action_thread_only_channel accesslimited "
        "enterprise_is_restricted"
    ),
    "set `api_url` to a Web API of today": "deprecated_endpoint method_deprecated unknown_method",
}
_UNFIT = {
    _OURS: (
        "invalid_payload invalid_blocks invalid_blocks_format no_text invalid_json json_not_object invalid_arguments "
        "invalid_arg_name invalid_array_arg invalid_charset invalid_form_data invalid_post_type missing_post_type "
        "invalid_metadata_format invalid_metadata_schema metadata_must_be_sent_from_app markdown_text_conflict "
        "missing_text_or_fallback_or_attachments cannot_reply_to_message thread_not_found message_not_found"
    ),
    _SMALLER: (
        "msg_too_long msg_blocks_too_long too_many_attachments attachment_payload_limit_exceeded metadata_too_large"
    ),
}
_PASSING = "internal_error fatal_error service_unavailable request_timeout rollup_error team_added_to_org timeout"
_PATIENCE = "ratelimited rate_limited message_limit_exceeded"

MEANINGS: dict[str, Meaning] = {
    **{word: Meaning(Kind.CLOSED, advice) for advice, words in _CLOSED.items() for word in words.split()},
    **{word: Meaning(Kind.UNFIT, advice) for advice, words in _UNFIT.items() for word in words.split()},
    **{word: Meaning(Kind.PASSING) for word in _PASSING.split()},
    **{word: Meaning(Kind.PATIENCE, "it asks for patience") for word in _PATIENCE.split()},
}

"""What a new list's state holds: the 145 keys of the recorded scenario `attributes`.

The values there are the recorded defaults; where the recording has only a type, a value of that
type. OPTIONS are what config_list shows, in its order; the rest is the list's own bookkeeping.
"""

import copy
import sys
import time

from Mailman import Version, mm_cfg

_PYTHON_3 = sys.version_info[0] > 2

_FOOTER = (
    "_______________________________________________\n"
    "%(real_name)s mailing list\n%(real_name)s@%(host_name)s\n"
)

# (name, value of a new list), in the order of config_list.
OPTIONS = [
    # the list
    ("real_name", ""),
    ("owner", []),
    ("moderator", []),
    ("description", ""),
    ("info", ""),
    ("subject_prefix", ""),
    ("from_is_list", 0),
    ("anonymous_list", False),
    ("first_strip_reply_to", False),
    ("reply_goes_to_list", 0),
    ("reply_to_address", ""),
    ("umbrella_list", False),
    ("umbrella_member_suffix", "-owner"),
    ("send_reminders", True),
    ("welcome_msg", ""),
    ("send_welcome_msg", True),
    ("goodbye_msg", ""),
    ("send_goodbye_msg", True),
    ("admin_immed_notify", True),
    ("admin_notify_mchanges", False),
    ("respond_to_post_requests", True),
    ("emergency", 0),
    ("new_member_options", 256),
    ("administrivia", True),
    ("max_message_size", 40),
    ("admin_member_chunksize", 30),
    ("host_name", ""),
    ("include_rfc2369_headers", 1),
    ("include_list_post_header", 1),
    ("include_sender_header", 1),
    ("max_days_to_hold", 90 if _PYTHON_3 else 0),
    # language
    ("preferred_language", ""),
    ("available_languages", []),
    ("encode_ascii_prefixes", 2 if _PYTHON_3 else 0),
    # delivery
    ("nondigestable", True),
    ("personalize", 0),
    ("msg_header", ""),
    ("msg_footer", _FOOTER),
    ("scrub_nondigest", False),
    ("regular_exclude_lists", []),
    ("regular_exclude_ignore", True),
    ("regular_include_lists", []),
    ("drop_cc", True),
    ("digestable", True),
    ("digest_is_default", False),
    ("mime_is_default_digest", False),
    ("digest_size_threshhold", 30),
    ("digest_send_periodic", True),
    ("digest_header", ""),
    ("digest_footer", _FOOTER),
    ("digest_volume_frequency", 1),
    # who may subscribe, read, post
    ("advertised", True),
    ("subscribe_policy", 1),
    ("subscribe_auto_approval", []),
    ("unsubscribe_policy", 0),
    ("ban_list", []),
    ("private_roster", 1),
    ("obscure_addresses", True),
    ("default_member_moderation", False),
    ("member_verbosity_threshold", 0),
    ("member_verbosity_interval", 300),
    ("member_moderation_action", 0),
    ("member_moderation_notice", ""),
    ("dmarc_moderation_action", 0),
    ("dmarc_quarantine_moderation_action", True),
    ("dmarc_none_moderation_action", False),
    ("dmarc_moderation_addresses", []),
    ("dmarc_moderation_notice", ""),
    ("dmarc_wrapped_message_text", ""),
    ("equivalent_domains", ""),
    ("accept_these_nonmembers", []),
    ("hold_these_nonmembers", []),
    ("reject_these_nonmembers", []),
    ("discard_these_nonmembers", []),
    ("generic_nonmember_action", 1),
    ("forward_auto_discards", True),
    ("nonmember_rejection_notice", ""),
    ("require_explicit_destination", True),
    ("acceptable_aliases", ""),
    ("max_num_recipients", 10),
    ("header_filter_rules", []),
    ("bounce_matching_headers", "from: .*@uplinkpro.com\n"),
    # bounces
    ("bounce_processing", True),
    ("bounce_score_threshold", 5.0),
    ("bounce_info_stale_after", 604800),
    ("bounce_you_are_disabled_warnings", 3),
    ("bounce_you_are_disabled_warnings_interval", 604800),
    ("bounce_unrecognized_goes_to_list_owner", True),
    ("bounce_notify_owner_on_bounce_increment", False),
    ("bounce_notify_owner_on_disable", True),
    ("bounce_notify_owner_on_removal", True),
    # archive, news
    ("archive", True),
    ("archive_private", 0),
    ("archive_volume_frequency", 1),
    ("nntp_host", ""),
    ("linked_newsgroup", ""),
    ("gateway_to_news", 0),
    ("gateway_to_mail", 0),
    ("news_moderation", 0),
    ("news_prefix_subject_too", 1),
    # automatic answers
    ("autorespond_postings", 0),
    ("autoresponse_postings_text", ""),
    ("autorespond_admin", 0),
    ("autoresponse_admin_text", ""),
    ("autorespond_requests", 0),
    ("autoresponse_request_text", ""),
    ("autoresponse_graceperiod", 90),
    # content
    ("filter_content", False),
    ("filter_mime_types", []),
    ("pass_mime_types", ["multipart", "message/rfc822", "text/plain"]),
    ("filter_filename_extensions", ["exe", "bat", "cmd", "com", "pif", "scr", "vbs", "cpl"]),
    ("pass_filename_extensions", []),
    ("collapse_alternatives", True),
    ("convert_html_to_plaintext", True),
    ("filter_action", 0),
    # topics
    ("topics_enabled", 0),
    ("topics_bodylines_limit", 5),
    ("topics", []),
]

BOOKKEEPING = {
    "admin_responses": {},
    "bounce_info": {},
    "created_at": 0.0,
    "data_version": Version.DATA_FILE_VERSION,
    "delivery_status": {},
    "digest_last_sent_at": 0,
    "digest_members": {},
    "hold_and_cmd_autoresponses": {},
    "language": {},
    "last_post_time": 0,
    "members": {},
    "mod_password": None,
    "next_digest_number": 1,
    "next_post_number": 1,
    "next_request_id": 1,
    "one_last_digest": {},
    "password": "",
    "passwords": {},
    "post_id": 1.0,
    "post_password": None,
    "postings_responses": {},
    "request_responses": {},
    "topics_userinterest": {},
    "user_options": {},
    "usernames": {},
    "volume": 1,
    "web_page_url": "",
}


# Strings and mappings that a 2.2 list without them has nevertheless, empty.
_STRINGS = ("description", "host_name", "info", "real_name", "reply_to_address", "subject_prefix")
_MAPPINGS = (
    "delivery_status",
    "digest_members",
    "language",
    "members",
    "one_last_digest",
    "passwords",
    "topics_userinterest",
    "user_options",
    "usernames",
)


def what_2_2_makes_up(name):
    """The value of an attribute that a list of Mailman 2.2 does not have: never an error.

    Made anew each time: what is appended to a ban list that is not there is lost.
    """
    if name == "usenet_watermark":
        return None
    if name == "bounce_info_stale_after":
        return dict(OPTIONS)[name]
    if name.startswith("_"):
        return 0
    if name in _STRINGS or name.endswith(("_msg", "_text")):
        return ""
    if name in _MAPPINGS or name.endswith(("_dict", "_info")):
        return {}
    if name == "topics" or name.endswith(("_list", "_lists")):
        return []
    return 0


def new_state(name, owner, password, urlhost):
    """The state of a new list; `password` as it is to be stored."""
    state = copy.deepcopy(dict(OPTIONS, **BOOKKEEPING))
    state.update(
        real_name=name.capitalize(),
        subject_prefix="[%s] " % name.capitalize(),
        owner=[owner],
        password=password,
        preferred_language=mm_cfg.DEFAULT_SERVER_LANGUAGE,
        available_languages=[mm_cfg.DEFAULT_SERVER_LANGUAGE],
        host_name=mm_cfg.DEFAULT_EMAIL_HOST,
        web_page_url=mm_cfg.DEFAULT_URL_PATTERN % (urlhost or mm_cfg.DEFAULT_URL_HOST),
        created_at=time.time(),
    )
    return state

"""Subscription, models and voices of the sandbox's account."""

from datetime import UTC, datetime, timedelta
from typing import Any

from histkit.sandbox import catalog
from histkit.sandbox.texts import LANGUAGES

_LANGUAGE_NAMES = ("English", "German", "Spanish", "Polish", "Hindi", "Japanese", "Arabic")
_TIERS = (
    ("free", 10_000, 0),
    ("starter", 30_000, 500),
    ("creator", 100_000, 2_200),
    ("pro", 500_000, 9_900),
    ("scale", 2_000_000, 33_000),
    ("business", 11_000_000, 132_000),
)


def next_reset(moment: int) -> int:
    """Return the next reset of the counter after an instant: the 14th, 09:30 UTC."""
    date = datetime.fromtimestamp(moment, UTC)
    reset = date.replace(day=14, hour=9, minute=30, second=0)
    if reset <= date:
        reset = (reset + timedelta(days=31)).replace(day=14)
    return int(reset.timestamp())


def subscription(used: int, peak: int, newest: int) -> dict[str, Any]:
    """Return the subscription of an account with `used` credits this month and at most `peak` in any month."""
    tier, limit, cents = next((tier for tier in _TIERS if tier[1] >= peak * 1.05), ("enterprise", peak * 2, 500_000))
    reset = next_reset(newest)
    cloned = [voice for voice in catalog.VOICES if voice.alive and voice.category != "premade"]
    professional = sum(voice.category == "professional" for voice in cloned)
    paid = cents > 0
    invoice: dict[str, Any] = {
        "amount_due_cents": cents,
        "subtotal_cents": cents,
        "tax_cents": 0,
        "discount_percent_off": None,
        "discount_amount_off": None,
        "discounts": [],
        "next_payment_attempt_unix": reset,
        "payment_intent_status": None,
        "payment_intent_statusses": [],
    }
    return {
        "tier": tier,
        "character_count": used,
        "character_limit": limit,
        "max_character_limit_extension": None,
        "max_credit_limit_extension": "unlimited" if tier == "enterprise" else 0,
        "can_extend_character_limit": paid,
        "allowed_to_extend_character_limit": paid,
        "next_character_count_reset_unix": reset,
        "voice_slots_used": len(cloned),
        "professional_voice_slots_used": professional,
        "professional_voice_slots_used_in_workspace": professional,
        "voice_limit": 160 if paid else 3,
        "max_voice_add_edits": 230,
        "voice_add_edit_counter": 41,
        "professional_voice_limit": max(1, professional),
        "can_extend_voice_limit": False,
        "can_use_instant_voice_cloning": paid,
        "can_use_professional_voice_cloning": paid,
        "currency": "eur" if paid else None,
        "current_overage": {"amount": "0", "currency": "eur"},
        "status": "active" if paid else "free",
        "billing_period": "monthly_period" if paid else None,
        "character_refresh_period": "monthly_period",
        "next_invoice": invoice if paid else None,
        "open_invoices": [],
        "has_open_invoices": False,
        "pending_change": None,
        "has_used_starter_coupon_on_account": False,
        "has_used_creator_coupon_on_account": False,
    }


def models() -> list[dict[str, Any]]:
    """Return the models; like the real list it does not show the half price of the fast ones as a factor of cost."""
    languages = [{"language_id": code, "name": name} for code, name in zip(LANGUAGES, _LANGUAGE_NAMES, strict=True)]
    return [
        {
            "model_id": model.model_id,
            "name": model.name,
            "can_be_finetuned": True,
            "can_do_text_to_speech": model.speech,
            "can_do_voice_conversion": not model.speech,
            "can_use_style": True,
            "can_use_speaker_boost": True,
            "serves_pro_voices": False,
            "token_cost_factor": 1.0,
            "description": f"{model.name} of the sandbox.",
            "requires_alpha_access": False,
            "max_characters_request_free_user": 2500,
            "max_characters_request_subscribed_user": 10_000,
            "maximum_text_length_per_request": 10_000,
            "languages": languages[:1] if "monolingual" in model.model_id else languages,
            "model_rates": {"character_cost_multiplier": model.price, "cost_discount_multiplier": 1.0},
            "concurrency_group": "turbo" if model.price < 1 else "standard",
        }
        for model in catalog.MODELS
    ]


def voices() -> dict[str, Any]:
    """Return the voices that still exist, under their latest names."""
    return {
        "voices": [
            {
                "voice_id": voice.voice_id,
                "name": voice.later_name or voice.name,
                "samples": None,
                "category": voice.category,
                "fine_tuning": None,
                "labels": {"language": LANGUAGES[voice.pool % 7]},
                "description": None,
                "preview_url": None,
                "available_for_tiers": [],
                "settings": dict(
                    zip(
                        ("stability", "similarity_boost", "style", "use_speaker_boost", "speed"),
                        voice.settings,
                        strict=True,
                    )
                ),
                "sharing": None,
                "high_quality_base_model_ids": ["eleven_multilingual_v2", "eleven_v3"],
                "verified_languages": None,
                "collection_ids": None,
                "safety_control": None,
                "voice_verification": None,
                "permission_on_resource": None,
                "is_owner": voice.category != "premade",
                "is_legacy": voice.name == "Rachel",
                "is_mixed": False,
                "favorited_at_unix": None,
                "created_at_unix": None,
                "is_bookmarked": None,
                "recording_quality": None,
                "labelling_status": None,
                "recording_quality_reason": None,
            }
            for voice in catalog.VOICES
            if voice.alive
        ]
    }

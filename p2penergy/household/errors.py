"""What a household asked for that can't be had, as one sentence."""


class HouseholdError(Exception):
    """The sentence says what is wrong and what to do."""

"""Deciding on messages: pure, one decision for each, before anything is written or sent.

No clock, no waiting, no I/O. ``plan`` has the words, ``decide`` says which rule is for which
message, and the rules are in the files beside it. What a rule can't know yet is a question:
the intake finds the answer and has the whole batch decided again.
"""

"""The way in: newcomers' requests on the node's side, and the newcomer's own side of it.

    desk         takes sealed requests from anybody certified, passes each verifier its seal
    examiner     a verifier's duty: open the own seal, judge, keep the sealed bytes, sign a verdict
    following    certified headers and committees from nodes of whom none is believed
    joining      a newcomer's steps until it is a member or knows why not

Implements the joining of LEDGER section 2 between the pure parts: ``membership`` judges, ``ledger`` decides.
"""

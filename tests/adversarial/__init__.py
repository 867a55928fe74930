"""What an attacker would send, thousands of times, at the whole application.

Every part prints how much it sent and the longest turn of the loop, and fails for an answer in the 500s, for anything
let in that must not be, and for a turn over 100 ms. What is attacked comes from the routes' own table and from the
OpenAPI document, so that a new route is attacked from the day it is there.
"""

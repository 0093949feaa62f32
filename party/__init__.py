"""What runs in each party's container: one image, three roles (alice, bob, server).

Data flows one way: job -> plan -> cut -> schedule -> run -> result.
"""

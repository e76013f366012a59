"""A campaign from draft to its last figure, and what makes campaigns by itself.

campaigns   its life; states and who may change them   accounts   what is counted, row by row
authors     who wrote it, version by version           missing    who did not get it, and why
revisions   saved anew; of two editors one wins        tallies    many campaigns at a glance
preflight_runs  how far a look at it is                shares     by mailbox provider or by relay
releases    who let it go, bound to what they saw      trials, trial_figures   which subject is better
freshness   prices that are too old hold it            on_hold    held, for the database was put back
series, recurrence   issues that come again            news_feeds what fills a series from elsewhere
renewals    campaigns that ask to renew a consent
"""

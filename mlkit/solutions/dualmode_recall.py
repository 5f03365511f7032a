# %% dualmode_recall.quiz
answer("dualmode_recall", q1="b", q2="b")

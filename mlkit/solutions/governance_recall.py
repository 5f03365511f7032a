# %% governance_recall.quiz
answer("governance_recall", q1="c", q2="a")

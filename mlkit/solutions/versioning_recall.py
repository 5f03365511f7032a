# %% versioning_recall.quiz
answer("versioning_recall", q1="c", q2="a")
